#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random requests on images whose data is in another file.
. "${srcdir:=.}/tests/functional/model-lib.sh"

raw_is_right()
{
	run qcow2 && cmp want x.raw
}

for options in cluster_size=512 cluster_size=64k cluster_size=2M \
	preallocation=metadata,cluster_size=16k extended_l2=on; do
	fresh data_file=x.raw,$options 9M
	ok "$options" run qcow2
	ok "$options, again" run qcow2
done
fresh data_file=x.raw 3000320
ok 'an odd size' run qcow2
is 'and no longer than that' 3000320 "$(stat -c %s x.raw)"
for options in cluster_size=4k cluster_size=64k extended_l2=on; do
	fresh data_file=x.raw,data_file_raw=on,$options 9M
	ok "raw, $options" raw_is_right
	ok "raw, $options, again" raw_is_right
done

head -c 6M /dev/urandom > base
for options in cluster_size=4k cluster_size=64k extended_l2=on \
	extended_l2=on,preallocation=metadata; do
	cp base want
	truncate -s 7M want
	rm -f x
	xdisk create -q -f qcow2 -b base -F raw -o data_file=x.raw,$options \
		x 7M
	ok "overlay, $options" run qcow2
	ok "overlay, $options, again" run qcow2
done
finish
