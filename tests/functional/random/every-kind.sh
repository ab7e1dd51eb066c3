#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random requests on images of every kind that we create.
. "${srcdir:=.}/tests/functional/model-lib.sh"

for options in cluster_size=512 cluster_size=512,refcount_bits=1 \
	cluster_size=1k,compat=v2 cluster_size=4k cluster_size=4k,lazy_refcounts=on \
	cluster_size=64k cluster_size=64k,refcount_bits=64 \
	cluster_size=2M preallocation=metadata,cluster_size=16k; do
	fresh $options 9M
	ok "$options" run qcow2
	ok "$options, again" run qcow2
done
finish
