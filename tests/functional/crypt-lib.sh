# SPDX-License-Identifier: LGPL-2.1-or-later
# crypt-lib.sh: sourced by the tests of encrypted images.
#
#	qcow2 FILE [SECRET], luks FILE [SECRET]		--image-opts of FILE
#	ours, theirs OPTS -c COMMAND...		xdisk io, qemu-io with secrets
#	patient COMMAND...	qemu-img, when it measures how long PBKDF2 takes
#	qemu_create, xdisk_create ARGUMENTS	with the secrets
#	both_ways OPTS		written by one, read by the other, and back
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io
if ! "$builddir/tool/xdisk" create -f qcow2 -o help | grep -q encrypt.format ||
	"$builddir/tool/xdisk" create -q -f luks --object secret,id=s,data=a \
		-o key-secret=s,iter-time=1 .probe 1M 2>&1 |
		grep -q 'built without'; then
	echo '1..0 # SKIP built without libgcrypt'
	exit 0
fi

secret=(--object secret,id=s,data=correct --object secret,id=t,data=other)
secret+=(--object secret,id=wrong,data=incorrect)

# As --image-opts have it, with the secret $2 (s).
qcow2() { echo "driver=qcow2,file.filename=$1,encrypt.key-secret=${2:-s}"; }
luks() { echo "driver=luks,file.filename=$1,key-secret=${2:-s}"; }

ours() { xdisk io "${secret[@]}" --image-opts "${@:2}" "$1"; }
theirs() { qemu-io "${secret[@]}" --image-opts "${@:2}" "$1"; }

# QEMU's clock fails it when it measures short times, often on a busy machine.
patient()
{
	local try

	for try in $(seq 40); do
		"$@" && return
	done
	return 1
}

qemu_create() { patient qemu-img create -q "${secret[@]}" "$@"; }

xdisk_create() { xdisk create -q "${secret[@]}" "$@"; }

# Written by one, read by the other, both ways; $1 is --image-opts.
both_ways()
{
	theirs "$1" -c 'write -P 1 0 1M' -c 'write -P 2 5000000 100001' || return
	ours "$1" -c 'read -P 1 0 1M' -c 'read -P 0 1M 1M' \
		-c 'read -P 0 4999999 1' -c 'read -P 2 5000000 100001' \
		-c 'read -P 0 5100001 7000' -c 'write -P 3 513k 700k' \
		-c 'write -P 4 6000001 1' -c 'write -z 64k 128k' \
		-c 'write -P 5 100000 3' || return
	theirs "$1" -c 'read -P 1 0 64k' -c 'read -P 0 64k 34464' \
		-c 'read -P 5 100000 3' -c 'read -P 0 100003 96605' \
		-c 'read -P 3 513k 700k' -c 'read -P 0 6000000 1' \
		-c 'read -P 4 6000001 1' -c 'read -P 0 6000002 5000'
}
