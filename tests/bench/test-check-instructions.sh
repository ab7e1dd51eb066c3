#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What check-instructions.sh makes of a count: a build tree of programs that do
# nothing, and a valgrind that says each request took $COST instructions.
. "$srcdir/tests/functional/tap.sh"

unset UPDATE
export COST=1000 COMPILER=gcc-12
mkdir -p bin build/tool build/tests/bench numbers

stub()
{
	cat > "$1"
	chmod +x "$1"
}
stub build/tool/xdisk <<< '#!/bin/sh'
stub build/tests/bench/ring-requests <<'EOS'
#!/bin/sh
echo "$COMPILER 12.2.0"
EOS
stub bin/strip <<'EOS'
#!/bin/sh
cp "$4" "$3"
EOS
stub bin/valgrind <<'EOS'
#!/bin/bash
[ "$1" != --version ] || { echo valgrind-3; exit; }
[ "$COST" ] || exit 1
for word; do
	case $word in
	--callgrind-out-file=*) out=${word#*=} ;;
	2000 | 12000) requests=$word ;;
	esac
done
echo "totals: $((50000 + COST * requests))" > "$out"
EOS

configured()
{
	echo "CFLAGS = $*" > build/Makefile
}

instructions()
{
	PATH=$T/bin:$PATH builddir=$T/build NUMBERS=$T/numbers \
		bash "$srcdir/tests/bench/check-instructions.sh"
}

configured -g -O2
ok "a compiler without numbers passes" instructions
said "its numbers are shown" "^ok 1 .*: 1000 instructions a request; no number"
UPDATE=yes ok "UPDATE writes numbers down" instructions
said "it says so" "1000 instructions a request; now written down"
is "each workload has a line" \
	"$(grep -c '^[a-z0-9-]* *1000$' numbers/gcc-12)" 6
ok "the compiler and its flags stand above them" \
	grep -q "^# with gcc-12 (12.2.0), CFLAGS -g -O2, valgrind-3" \
	numbers/gcc-12

ok "the same passes" instructions
said "with its ratio" "^ok 1 .*: 1000 instructions a request, 1.000 of 1000$"
COST=1050 ok "5 % more pass" instructions
COST=1051 rc 1 "more than that fails" instructions
said "it says so" "^not ok 1 .*1051 .*1.051 of 1000: more than 5 % more"
COST=950 ok "5 % less pass" instructions
said "and nothing is to be done" "^ok 1 .*0.950 of 1000$"
COST=949 ok "more than that passes" instructions
said "and is to be written down" "^ok 1 .*0.949 of 1000: .*UPDATE=yes"

configured -O1 -g
ok "another optimisation is skipped" instructions
said "it says so" "SKIP configured with CFLAGS='-O1 -g'"
configured -O2 -g
ok "in whatever order flags stand" instructions
said "they are the same" "^ok 1 .*1.000 of 1000$"
COMPILER=clang-14 ok "another compiler passes" instructions
said "its numbers are its own" "no number is written down for clang-14"

COST=2000 UPDATE=yes ok "UPDATE does not judge" instructions
said "and tells what changed" "2000 .*, 2.000 of 1000; now written down"
is "the new numbers take the old ones' place" \
	"$(grep -c '^[a-z0-9-]* *2000$' numbers/gcc-12)" 6

sed -i /^ring-raw-read/d numbers/gcc-12
COST=2000 rc 1 "a workload without a number fails" instructions
said "it says so" "^not ok 3 .*no number is written down for it"
before=$(cat numbers/gcc-12)
COST='' UPDATE=yes rc 1 "a count that fails is a failure" instructions
said "it says so" "^not ok 1 - ring-qcow2-read: cannot be counted"
is "and nothing is written down" "$(cat numbers/gcc-12)" "$before"

finish
