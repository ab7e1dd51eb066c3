#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# How many instructions a request of 4 KiB takes in our programs (the kernel's are
# not seen), beside what is written down for this compiler. More than 5 % more
# fails; more than 5 % less passes, and should be written down. Nothing is held
# against anything where there are no numbers for the compiler yet.
#
#	make check-instructions			counts and judges
#	make check-instructions UPDATE=yes	counts and writes down
#
# What counts is the difference of a long and a short run, by requests, so that
# starting and ending fall out. Images lie in memory, nothing waits, and the clock
# is ours (preload-clock.c): the count is the same each time.
#
# NUMBERS: the folder with a file for each compiler.
IN_MEMORY=yes
. "$srcdir/tests/functional/tap.sh"
requires valgrind

short=2000 long=12000
read -r compiler version < <("$builddir/tests/bench/ring-requests")
cflags=$(sed -n 's/^CFLAGS = //p' "$builddir/Makefile")
numbers=${NUMBERS:-$srcdir/tests/bench/instructions}/$compiler
written=

skip()
{
	echo "1..0 # SKIP $*"
	exit 0
}

# ---- workloads: NAME REQUESTS --------------------------------------------

workloads="ring-qcow2-read ring-qcow2-write ring-raw-read
	bench-qcow2-read bench-qcow2-overwrite bench-qcow2-allocate"

make_image()
{
	rm -f "$2"
	xdisk create -q -f "$1" "$2" "$3"
}

make_images()
{
	make_image qcow2 read.qcow2 64M &&
		xdisk io -f qcow2 -c 'write -P 7 0 64M' read.qcow2 &&
		make_image qcow2 written.qcow2 64M &&
		xdisk io -f qcow2 -c 'write -P 7 0 64M' written.qcow2 &&
		make_image raw read.raw 64M &&
		xdisk io -f raw -c 'write -P 7 0 64M' read.raw
}

# Old valgrinds give up at the debug information of new compilers.
take_programs()
{
	strip --strip-debug -o ring-requests \
		"$builddir/tests/bench/ring-requests" &&
		strip --strip-debug -o tool "$builddir/tool/xdisk"
}

counted()
{
	LD_PRELOAD=$builddir/tests/bench/libclock.so \
		valgrind --quiet --tool=callgrind \
		--callgrind-out-file=counts "$@"
}

bench()
{
	counted ./tool bench -q -f qcow2 -t writeback "$@"
}

ring-qcow2-read() { counted ./ring-requests qcow2 read read.qcow2 "$1"; }
ring-qcow2-write() { counted ./ring-requests qcow2 write written.qcow2 "$1"; }
ring-raw-read() { counted ./ring-requests raw read read.raw "$1"; }
bench-qcow2-read() { bench --random 1 -c "$1" read.qcow2; }
bench-qcow2-overwrite() { bench -w --random 1 -c "$1" written.qcow2; }

# Each write is the first one of a cluster.
bench-qcow2-allocate()
{
	make_image qcow2 thin.qcow2 1G && bench -w -S 64k -c "$1" thin.qcow2
}

# ---- counting --------------------------------------------------------------

# instructions NAME REQUESTS
instructions()
{
	"$1" "$2" > .log 2>&1 < /dev/null && sed -n 's/^totals: //p' counts
}

# per_request NAME
per_request()
{
	local few many more=$((long - short))

	few=$(instructions "$1" $short) && many=$(instructions "$1" $long) &&
		echo $(((many - few + more / 2) / more))
}

# ---- judging ---------------------------------------------------------------

# judge NAME COUNT WRITTEN-DOWN
judge()
{
	local name=$1 n=$2 old=$3 text

	text="$name: $n instructions a request"
	[ "$old" ] && text+=", $(awk "BEGIN { printf \"%.3f\", $n / $old }") of $old"
	if [ "${UPDATE:-}" ]; then
		tap_result 0 "$text; now written down"
	elif [ ! -e "$numbers" ]; then
		tap_result 0 "$text; no number is written down for $compiler"
	elif [ ! "$old" ]; then
		tap_result 1 "$text; no number is written down for it"
	elif [ $((n * 100)) -gt $((old * 105)) ]; then
		tap_result 1 "$text: more than 5 % more"
	elif [ $((n * 100)) -lt $((old * 95)) ]; then
		tap_result 0 "$text: much less, write it down with UPDATE=yes"
	else
		tap_result 0 "$text"
	fi
}

# check NAME
check()
{
	local n old=

	if ! n=$(per_request "$1"); then
		tap_result 1 "$1: cannot be counted"
		tap_log
		return
	fi
	[ ! -e "$numbers" ] || old=$(sed -n "s/^$1[[:space:]]*//p" "$numbers")
	judge "$1" "$n" "$old"
	written+=$(printf '%-24s%d' "$1" "$n")$'\n'
}

write_down()
{
	mkdir -p "${numbers%/*}" && cat > "$numbers" <<END
# Instructions of a request of 4 KiB, by \`make check-instructions UPDATE=yes\`
# with $compiler ($version), CFLAGS $cflags, $(valgrind --version)
${written%$'\n'}
END
}

[ "$(tr ' ' '\n' <<< "$cflags" | sort | paste -sd ' ')" = "-O2 -g" ] ||
	skip "configured with CFLAGS='$cflags', numbers are of '-g -O2'"
sanitized && skip "built with sanitizers"

take_programs > .log 2>&1 && make_images >> .log 2>&1 || {
	tap_result 1 "there is something to count"
	tap_log
	finish
}
for workload in $workloads; do
	check "$workload"
done
if [ "${UPDATE:-}" ] && [ $tap_failed = 0 ]; then
	write_down || exit 99
fi
finish
