#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk against Debian's qemu-img on the same images in the page cache, turn by
# turn; the median of the rounds counts. Prints a table and writes all figures
# as JSON.
#
#	bench-image.sh [--dir DIR] [--mib N] [--rounds N] [--json FILE] [PATTERN]
#
# DIR: where the images lie (/tmp). MIB: the size of the disk (1024). PATTERN: a
# regular expression; only the cases whose name matches are run.
#
# A case is a name, the ratio it is to stay below, and the arguments of both
# tools; OUT stands for a file that is not there before, OVER for a fresh copy of
# the overlay on a fresh copy of the image below it, NEW for a new qcow2 image of
# 4 GiB, ABOVE for a new overlay on an image that has all its clusters.
# Beside the time a case compares what OUT takes on disk, and processor time (CPU is
# its ratio), which tells something on a busy machine, too.
set -u
export LC_ALL=C
dir=/tmp mib=1024 rounds=5 json=tests/bench/bench-image.json
while [ $# -gt 0 ]; do
	case $1 in
	--dir) dir=$2; shift 2 ;;
	--mib) mib=$2; shift 2 ;;
	--rounds) rounds=$2; shift 2 ;;
	--json) json=$2; shift 2 ;;
	--*) sed -n '3,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
	*) break ;;
	esac
done
pattern=${1:-.}
xdisk=$(realpath "${builddir:-.}/tool/xdisk")
mkdir -p "$(dirname "$json")"
json=$(realpath -m "$json")
work=$(mktemp -d "$dir/bench-image.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# A step that meets every 4 KiB of a disk once before it begins anew, seemingly
# at random.
random="-S 1640534016"
engine="-q -f qcow2 -i io_uring"
cases=(
"raw to qcow2 | 0.6 | convert -f raw -O qcow2 raw OUT"
"qcow2 to raw | 0.6 | convert -f qcow2 -O raw qcow2 OUT"
"chain of 3 to flat | 0.6 | convert -f qcow2 -O qcow2 top OUT"
"compress with zlib | 0.5 | convert -c -f raw -O qcow2 raw OUT"
"compress with zstd | 0.5 | convert -c -f raw -O qcow2 -o compression_type=zstd raw OUT"
"zlib to raw | 0.6 | convert -f qcow2 -O raw zlib OUT"
"zstd to raw | 0.6 | convert -f qcow2 -O raw zstd OUT"
"compare | 0.5 | compare -f raw -F qcow2 raw qcow2"
"compare with zlib | 0.5 | compare -f raw -F qcow2 raw zlib"
"commit | 0.5 | commit -q -f qcow2 OVER"
"rebase | 0.5 | rebase -q -f qcow2 -b qcow2 -F qcow2 OVER"
"map of 1 TiB | 0.5 | map -f qcow2 --output=json tebibyte"
"check of 1 TiB | 0.5 | check -q -f qcow2 tebibyte"
"read 4k | 0.77 | bench $engine -c 200000 $random qcow2"
"read 4k direct | 1.0 | bench $engine -t none -c 100000 $random qcow2"
"read 64k of a chain | 0.77 | bench $engine -s 64k -c 50000 top"
"write 4k, new | 0.25 | bench $engine -w -t none -c 20000 $random NEW"
"write 64k, new | 0.5 | bench $engine -w -t none -s 64k -c 8000 NEW"
"write 4k, flushes | 0.33 | bench $engine -w -t none -c 6400 $random --flush-interval 64 NEW"
"write 4k, overlay | 0.33 | bench $engine -w -t none -c 8000 $random ABOVE"
"the same, cached | 0.33 | bench $engine -w -c 8000 $random ABOVE"
)

# ---- images: a quarter holes, a quarter noise, half words ----

make_raw() {
	python3 - "$mib" <<'P'
import random, sys
rnd = random.Random(1)
words = ["".join(rnd.choices("abcdefghijklmnopqrstuvwxyz",
                             k=rnd.randint(2, 9))) for _ in range(4000)]
text = " ".join(rnd.choices(words, k=400000)).encode()
with open("raw", "wb") as f:
    for i in range(int(sys.argv[1])):
        if i // 4 % 4 == 3:
            f.seek(1 << 20, 1)
        elif i // 4 % 4 == 1:
            f.write(rnd.randbytes(1 << 20))
        else:
            o = rnd.randrange(len(text) - (1 << 20))
            f.write(text[o:o + (1 << 20)])
    f.truncate(int(sys.argv[1]) << 20)
P
}

overlay() {
	qemu-img create -q -f qcow2 -b "$2" -F qcow2 "$1" || return
	awk -v seed="$3" -v n=$((mib * 3 / 2)) -v clusters=$((mib * 16)) 'BEGIN {
		srand(seed)
		for (i = 0; i < n; i++)
			printf "write -q -P %d %d 64k\n", 1 + i % 250,
				int(rand() * clusters) * 65536
	}' | qemu-io -f qcow2 -t unsafe "$1" > /dev/null
}

make_images() {
	make_raw &&
	qemu-img convert -f raw -O qcow2 raw qcow2 &&
	overlay middle qcow2 1 && overlay top middle 2 || return
	if [[ "map of 1 TiB check of 1 TiB" =~ $pattern ]]; then
		qemu-img create -q -f qcow2 -o preallocation=metadata tebibyte 1T ||
			return
	fi
	if [[ "write 4k, overlay the same, cached" =~ $pattern ]]; then
		qemu-img convert -f raw -O qcow2 -S 0 raw full || return
	fi
	[[ "zlib to raw compare with zlib zstd to raw" =~ $pattern ]] ||
		return 0
	"$xdisk" convert -c -f raw -O qcow2 raw zlib &&
	"$xdisk" convert -c -f raw -O qcow2 -o compression_type=zstd raw zstd
}

# ---- measuring ----

# prepare WORD...: the files that the words stand for, and free memory that the
# machine really has: a virtual one may have to ask its host for it.
prepare() {
	dd if=/dev/zero of=OUT bs=1M count="$mib" status=none
	rm -f OUT OVER BELOW NEW ABOVE
	case " $* " in
	*' OVER '*)
		cp middle BELOW && cp top OVER &&
			qemu-img rebase -u -f qcow2 -b BELOW -F qcow2 OVER ;;
	*' NEW '*)
		qemu-img create -q -f qcow2 NEW 4G ;;
	*' ABOVE '*)
		qemu-img create -q -f qcow2 -b full -F qcow2 ABOVE ;;
	esac
	sync -f .
}

# "WALL CPU": milliseconds that a command takes; 0 0: it failed
once() {
	local TIMEFORMAT='%R %U %S'

	prepare "$@" || { echo 0 0; return; }
	{ time "$@" > log 2>&1; } 2> took || { cat log >&2; echo 0 0; return; }
	awk '{ printf "%d %d\n", $1 * 1000, ($2 + $3) * 1000 }' took
}

# median COLUMN LINES...
median() {
	local column=$1

	shift
	printf '%s\n' "$@" | cut -d ' ' -f "$column" | sort -n |
		sed -n "$(((rounds + 1) / 2))p"
}

ratio() { awk "BEGIN { printf \"%.2f\", $1 / ($2 > 0 ? $2 : 1) }"; }

size() { [ -e OUT ] && du -k OUT | cut -f 1 || echo 0; }

our_turn() { ours+=("$(once "$xdisk" "$@")") our_kib=$(size); }
their_turn() { theirs+=("$(once qemu-img "$@")") their_kib=$(size); }

# The memory that one gets is what the other has given back: by turns.
run_case() {
	local name=$1 limit=$2 ours=() theirs=() our_kib=0 their_kib=0
	local our_ms their_ms our_cpu their_cpu wall cpu
	shift 2

	for ((i = 0; i < rounds; i++)); do
		((i % 2)) && their_turn "$@"
		our_turn "$@"
		((i % 2)) || their_turn "$@"
	done
	rm -f OUT
	our_ms=$(median 1 "${ours[@]}") their_ms=$(median 1 "${theirs[@]}")
	our_cpu=$(median 2 "${ours[@]}") their_cpu=$(median 2 "${theirs[@]}")
	[ "$our_ms" -gt 0 ] && [ "$their_ms" -gt 0 ] || { failed=1; return; }
	wall=$(ratio "$our_ms" "$their_ms") cpu=$(ratio "$our_cpu" "$their_cpu")
	printf '%-22s %8d %8d %6s %6s %6s %9d %9d\n' "$name" "$our_ms" \
		"$their_ms" "$wall" "$limit" "$cpu" "$our_kib" "$their_kib"
	results+=("$(printf '{"name": "%s", "xdisk_ms": %d, "qemu_img_ms": %d, "ratio": %s, "limit": %s, "xdisk_cpu_ms": %d, "qemu_img_cpu_ms": %d, "cpu_ratio": %s, "xdisk_kib": %d, "qemu_img_kib": %d}' \
		"$name" "$our_ms" "$their_ms" "$wall" "$limit" "$our_cpu" \
		"$their_cpu" "$cpu" "$our_kib" "$their_kib")")
}

command -v qemu-img > /dev/null || { echo "qemu-img is missing"; exit 1; }
make_images || exit 1
failed=0
results=()
printf '%-22s %8s %8s %6s %6s %6s %9s %9s\n' case 'xdisk ms' 'qemu ms' ratio \
	limit CPU 'xdisk KiB' 'qemu KiB'
for c in "${cases[@]}"; do
	IFS='|' read -r name limit arguments <<< "$c"
	name=${name% } limit=${limit// /}
	[[ $name =~ $pattern ]] || continue
	read -ra words <<< "$arguments"
	run_case "$name" "$limit" "${words[@]}"
done
{
	printf '{"mib": %d, "rounds": %d, "processors": %d, "cases": [\n' \
		"$mib" "$rounds" "$(nproc)"
	(IFS=,; printf '%s\n' "${results[*]/#/	}")
	echo ']}'
} > "$json"
exit $failed
