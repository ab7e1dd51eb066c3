# SPDX-License-Identifier: LGPL-2.1-or-later
# model-lib.sh: sourced by the random tests. Thousands of requests, many at once;
# each time the image is clean and holds what the model does. MODEL_SEED and
# MODEL_OPERATIONS make it another or a longer run.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img

seed=${MODEL_SEED:-1}
operations=${MODEL_OPERATIONS:-1500}

run()
{
	echo "# seed $seed" >&2
	model -s $((seed++)) -n "$operations" x "$1" want || return
	[ "$1" = raw ] || clean x || return
	holds x "$1" want
}

fresh()
{
	rm -f x want
	truncate -s "$2" want
	xdisk create -q -f qcow2 -o "$1" x "$2"
}
