#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The fuzz targets, built as libFuzzer programs, beginning with the seeds. Each
# makes the same inputs every time, so many of them; FUZZ_SECONDS lets it make
# other ones, for so long (the smaller targets: a quarter of that). What is found
# is kept in the build tree, to become a seed when it is mended.
set -u
dir=$(mktemp -d "${TMPDIR:-/tmp}/fuzz.XXXXXX") || exit 99
trap 'rm -rf "$dir"' EXIT
n=0

# fuzz TARGET RUNS SHARE
fuzz()
{
	local name=$1 found=$builddir/tests/fuzz/found-$1- limit="-seed=1 -runs=$2"

	[ -z "${FUZZ_SECONDS:-}" ] ||
		limit="-max_total_time=$((FUZZ_SECONDS / $3))"
	n=$((n + 1))
	mkdir "$dir/$name"
	if "$builddir/tests/fuzz/fuzz-$name" $limit -timeout=60 \
		-rss_limit_mb=4096 -close_fd_mask=2 -artifact_prefix="$found" \
		"$dir/$name" "$srcdir/tests/fuzz/corpus/$name" \
		> "$dir/log" 2>&1; then
		echo "ok $n - $name: $(sed -n 's/^Done \([0-9]* runs\).*/\1/p' "$dir/log")"
	else
		echo "not ok $n - $name"
		tail -n 40 "$dir/log" | sed 's/^/# /'
		echo "# kept: $(ls "$found"* 2>/dev/null)"
	fi
}

fuzz conf 20000 4
fuzz frontend 30000 4
fuzz image 8000 1
fuzz link 10000 4
fuzz opener 50000 4
fuzz params 200000 4
fuzz ring 20000 4
fuzz xlcfg 200000 4
echo "1..$n"
