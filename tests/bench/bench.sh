#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdiskd against Debian's QEMU (qdisk), both as the backend of the same frontend
# on the same simulated hypervisor, with identical images in the page cache,
# turn by turn; the median of the rounds counts. Prints a table and writes all
# figures as JSON.
#
#	bench.sh [--dir DIR] [--rounds N] [--seconds S] [--json FILE] [PATTERN]
#
# DIR: where the images lie (/dev/shm). PATTERN: a regular expression; only the
# cases whose name matches are run.
. "${srcdir:-.}/tests/simxen/simxen.sh"

base=/dev/shm rounds=3 seconds=0.7 json=tests/bench/bench.json
size_mib=512
while [ $# -gt 0 ]; do
	case $1 in
	--dir) base=$2; shift 2 ;;
	--rounds) rounds=$2; shift 2 ;;
	--seconds) seconds=$2; shift 2 ;;
	--json) json=$2; shift 2 ;;
	--*) sed -n '3,/^$/s/^# \{0,1\}//p' "$0"; exit 2 ;;
	*) break ;;
	esac
done
pattern=${1:-.}

simxen_require qemu-img jq "$xdiskd" "$worker" "$qemu_xen"

# ---- the two sides ----------------------------------------------------------

simxen_start
peer_dir=$SIMXEN_DIR
simxen_start
our_dir=$SIMXEN_DIR
SIMXEN_LOG=info daemon_start
images=$(mktemp -d "$base/xdisk-bench.XXXXXX") || exit 1
trap 'simxen_stop; rm -rf "$images"' EXIT
ticks=$(getconf CLK_TCK)

side_use() {
	case $1 in
	xdiskd) simxen_use "$our_dir" ;;
	qdisk) simxen_use "$peer_dir" ;;
	esac
}

side_pids() {
	case $1 in
	xdiskd) echo "$daemon_pid" $(workers_of "$daemon_pid") ;;
	qdisk) echo "$qemu_pid" ;;
	esac
}

# CPU microseconds so far, user and system, children that ended included.
side_cpu() {
	for pid in $(side_pids "$1"); do
		sed 's/.*) //' "/proc/$pid/stat"
	done 2>/dev/null | awk -v hz="$ticks" \
		'{ t += $12 + $13 + $14 + $15 } END { printf "%d", t * 1e6 / hz }'
}

# Private KiB of the process that serves the disk.
side_memory() {
	for pid in $(side_pids "$1"); do
		awk '/^Private/ { kib += $2 } END { print kib + 0 }' \
			"/proc/$pid/smaps_rollup"
	done 2>/dev/null | tail -n 1
}

# plug SIDE SPEC / unplug SIDE: a guest with that one disk
plug() {
	side_use "$1"
	guest create --domid 1 --disk "$2" || exit 1
	[ "$1" = xdiskd ] || qemu_start 1
}

unplug() {
	side_use "$1"
	[ "$1" = xdiskd ] || qemu_stop
	guest destroy --domid 1 --quick
}

# ---- images -----------------------------------------------------------------

# The same for both sides; every block allocated, everything in the cache.
make_images() {
	for side in xdiskd qdisk; do
		truncate -s ${size_mib}M "$images/raw.$side"
		qemu-io -f raw -c "write -P 7 0 ${size_mib}M" \
			"$images/raw.$side" >/dev/null
		qemu-img create -q -f qcow2 "$images/qcow2.$side" ${size_mib}M
		qemu-io -f qcow2 -c "write -P 7 0 ${size_mib}M" \
			"$images/qcow2.$side" >/dev/null
	done
}

spec_of() {
	case $1 in
	raw) echo "backendtype=qdisk,vdev=xvda,target=$images/raw.$2" ;;
	*) echo "$images/$1.$2,qcow2,xvda,rw" ;;
	esac
}

# ---- measuring ----------------------------------------------------------------

# measure SIDE CASE OPTIONS...: one JSON line with CPU and memory added
measure() {
	measure_side=$1 measure_case=$2
	shift 2
	side_use "$measure_side"
	cpu_before=$(side_cpu "$measure_side")
	(sleep 0.35; side_memory "$measure_side") >"$images/memory" &
	memory_pid=$!
	line=$(guest bench --domid 1 --vdev xvda "$@") || exit 1
	cpu_after=$(side_cpu "$measure_side")
	wait "$memory_pid"
	echo "$line" | jq -c --arg case "$measure_case" \
		--arg side "$measure_side" \
		--argjson cpu $((cpu_after - cpu_before)) \
		--argjson kib "$(cat "$images/memory")" \
		'. + {case: $case, side: $side, private_kib: $kib,
		      cpu_us: ($cpu / .requests)}' >>"$images/lines"
}

wanted() {
	echo "$1" | grep -Eq -e "$pattern"
}

progress() {
	[ -t 2 ] && printf '\r%-60s' "$*" >&2
}

# bench_case NAME IMAGE OPTIONS...
bench_case() {
	case_name=$1 case_image=$2
	shift 2
	wanted "$case_name" || return 0
	for side in xdiskd qdisk; do
		plug $side "$(spec_of "$case_image" $side)"
	done
	round=0
	while [ $round -lt "$rounds" ]; do
		round=$((round + 1))
		for side in xdiskd qdisk; do
			progress "$case_name: $side, round $round of $rounds"
			measure $side "$case_name" --seconds "$seconds" "$@"
		done
	done
	for side in xdiskd qdisk; do
		unplug $side
	done
}

# A new thin image for every run: each write allocates.
bench_thin() {
	wanted "$1" || return 0
	round=0
	while [ $round -lt "$rounds" ]; do
		round=$((round + 1))
		for side in xdiskd qdisk; do
			progress "$1: $side, round $round of $rounds"
			qemu-img create -q -f qcow2 "$images/thin.$side" 8G
			plug $side "$(spec_of thin $side)"
			measure $side "$1" --count 20000 --rw randwrite --qd 32
			unplug $side
			rm -f "$images/thin.$side"
		done
	done
}

all_cases() {
	for image in raw qcow2; do
		for qd in 1 32; do
			bench_case "$image randread 4k qd $qd" $image \
				--rw randread --qd $qd
			bench_case "$image randwrite 4k qd $qd" $image \
				--rw randwrite --qd $qd
			bench_case "$image read 64k qd $qd" $image \
				--rw read --bs 64k --order 2 --qd $qd
			bench_case "$image write 64k qd $qd" $image \
				--rw write --bs 64k --order 2 --qd $qd
		done
	done
	bench_case "qcow2 randread 4k qd 32, grant copy" qcow2 \
		--rw randread --qd 32 --no-persistent
	bench_case "qcow2 randwrite 4k qd 32, grant copy" qcow2 \
		--rw randwrite --qd 32 --no-persistent
	bench_thin "thin qcow2 randwrite 4k qd 32"
}

# ---- the report ---------------------------------------------------------------

summary='
def median: sort | .[(length - 1) / 2 | floor];
def side($s): map(select(.side == $s)) |
	{iops: (map(.iops) | median), p50_us: (map(.p50_us) | median),
	 p99_us: (map(.p99_us) | median), cpu_us: (map(.cpu_us) | median),
	 private_kib: (map(.private_kib) | median)};
[., inputs] | reduce .[] as $l ([];
	if any(.[]; .[0].case == $l.case)
	then map(if .[0].case == $l.case then . + [$l] else . end)
	else . + [[$l]] end) |
map({case: .[0].case, xdiskd: side("xdiskd"), qdisk: side("qdisk"),
     runs: .} |
    .iops_ratio = .xdiskd.iops / .qdisk.iops |
    .cpu_ratio = (if .qdisk.cpu_us > 0
		  then .xdiskd.cpu_us / .qdisk.cpu_us else null end))
'

print_table() {
	jq -r '.[] | [.case, .xdiskd.iops, .qdisk.iops, .iops_ratio,
		.xdiskd.cpu_us, .qdisk.cpu_us, .cpu_ratio,
		.xdiskd.p50_us, .qdisk.p50_us, .xdiskd.p99_us, .qdisk.p99_us,
		.xdiskd.private_kib, .qdisk.private_kib] | @tsv' "$1" |
	awk -F '\t' '
	BEGIN {
		printf "%-38s %17s %6s %14s %6s %15s %17s %13s\n", "",
			"IOPS", "", "CPU us/req", "", "p50 us", "p99 us",
			"private MiB"
		printf "%-38s %8s %8s %6s %6s %7s %6s %7s %7s %8s %8s %6s %6s\n",
			"", "xdiskd", "qdisk", "ratio", "xdiskd", "qdisk",
			"ratio", "xdiskd", "qdisk", "xdiskd", "qdisk",
			"xdiskd", "qdisk"
	}
	{
		printf "%-38s %8d %8d %5.2fx %6.2f %7.2f %5.2fx %7.1f %7.1f " \
			"%8.1f %8.1f %6.1f %6.1f\n", $1, $2, $3, $4, $5, $6, $7,
			$8, $9, $10, $11, $12 / 1024, $13 / 1024
	}'
}

make_images
all_cases
progress ""
[ -s "$images/lines" ] || { echo "no case is called that"; exit 1; }
mkdir -p "$(dirname "$json")"
jq "$summary" "$images/lines" >"$json"
print_table "$json"
echo "all figures: $json"
