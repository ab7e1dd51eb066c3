#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random requests on overlays, raw images and odd sizes.
. "${srcdir:=.}/tests/functional/model-lib.sh"

fresh cluster_size=64k 3000320
ok 'an odd size' run qcow2
rm -f x want
truncate -s 5M x want
ok 'raw' run raw
rm -f x want
truncate -s 5000001 x
truncate -s 5000192 want
ok 'raw of an odd size' run raw
head -c 6M /dev/urandom > base
for options in cluster_size=512 cluster_size=4k,compat=v2 cluster_size=64k \
	cluster_size=2M; do
	cp base want
	truncate -s 7M want
	rm -f x
	xdisk create -q -f qcow2 -b base -F raw -o $options x 7M
	ok "overlay, $options" run qcow2
	ok "overlay, $options, again" run qcow2
done
finish
