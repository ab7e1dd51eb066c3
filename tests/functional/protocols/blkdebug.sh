#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The protocol that makes errors when it is told to.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"

xdisk create -q -f qcow2 a 16M
xdisk io -f qcow2 -c 'write -P 5 0 1M' a > /dev/null

# fails DESCRIPTION OPTIONS COMMAND... : of xdisk io; the last one fails by EIO
debug=driver=qcow2,file.driver=blkdebug,file.image.filename=a
fails()
{
	local what=$1 opts=$2
	shift 2
	rc 1 "$what" xdisk io --image-opts "$@" "$debug,$opts" &&
		said "$what: the error" "${ERROR:-Input/output error}"
}
works()
{
	local what=$1 opts=$2
	shift 2
	ok "$what" xdisk io --image-opts "$@" "$debug,$opts"
}

printf '[inject-error]\nevent = "read_aio"\n' > rules
works 'nothing to do' node-name=x -c 'read -P 5 0 64k'
ok 'nor by the name' xdisk io -f qcow2 -c 'read -P 5 0 64k' blkdebug::a
rc 1 'a file of rules' xdisk io -f qcow2 -c 'read 0 64k' blkdebug:rules:a
says 'Input/output error'
rc 1 'the same guessed' xdisk io -c 'read 0 64k' blkdebug:rules:a
says 'guessed qcow2'
rc 1 'convert' xdisk convert -f qcow2 -O raw blkdebug:rules:a out
rc 1 'no such file of rules' xdisk io -f qcow2 -c 'read 0 1' blkdebug:no:a
says "'no'"
rc 1 'no image' xdisk info blkdebug:a
fails 'by options' file.config=rules -c 'read 0 1'
fails 'one rule without a number' file.inject-error.event=l2_load -c 'read 0 1'
ERROR='No space left' \
	fails 'another error' \
	file.inject-error.0.event=write_aio,file.inject-error.0.errno=28 \
	-c 'write 0 64k'

rule=file.inject-error.0
none=$rule.event=none
fails 'at any time, of one type' "$none,$rule.iotype=write" -c 'write 0 64k'
works 'not of another' "$none,$rule.iotype=discard" -c 'read -P 5 0 64k'
fails 'flushes' "$none,$rule.iotype=flush" -c 'write 0 64k' -c flush
rawdebug=driver=raw,file.driver=blkdebug,file.image.filename=plain
xdisk create -q -f raw plain 1M
rc 1 'a sector' xdisk io --image-opts -c 'write 4k 4k' -c 'write 0 2k' \
	-c 'write 2k 2k' "$rawdebug,$none,$rule.sector=4"
is 'hit once' "$(grep -c failed .log)" 1
rc 1 'once' xdisk io --image-opts -c 'read 0 4k' -c 'read 0 4k' \
	"$rawdebug,$none,$rule.once=on"
is 'is once' "$(grep -c failed .log)" 1
cat > states << 'END'
# the second write puts it into state 3, where reads fail
[set-state]
event = "write_aio"
state = "1"
new_state = "2"

[set-state]
event = "write_aio"
state = "2"
new_state = "3"
[inject-error]
state = "3"
event = "read_aio"
once = "on"
immediately = "off"
END
rc 1 'states' xdisk io -f raw -c 'write 0 512' -c 'read 0 512' \
	-c 'write 0 512' -c 'read 512 512' -c 'read 0 512' blkdebug:states:plain
is 'lead from one to the next' "$(grep -n 'failed' .log)" '7:read failed: Input/output error'

no_worse() { xdisk check -q -f qcow2 "$1" || [ $? -eq 3 ]; }
for event in refblock_update l2_update l2_alloc_write cluster_alloc; do
	xdisk create -q -f qcow2 m 16M
	rc 1 "$event: writing fails" xdisk io --image-opts -c 'write 8M 64k' \
		-c flush "driver=qcow2,file.driver=blkdebug,file.image.filename=m,$(
		)$rule.event=$event"
	ok "$event: the image has lost clusters at most" no_worse m
done
for event in l2_load l1_update reftable_load refblock_load; do
	works "$event is known" "$rule.event=$event,$rule.state=9" -c 'read 0 1'
done

group 'limits'
xdisk io -f qcow2 -c 'write -P 5 0 1M' a > /dev/null
xdisk create -q -f qcow2 -o cluster_size=1M b 128M
xdisk io -f qcow2 -c 'write -P 2 0 128M' b > /dev/null
top=driver=blkdebug,image.driver=qcow2,image.file.filename=b
ok 'aligned and split' xdisk io --image-opts -c 'write -P 3 1000 128k' \
	-c 'read -P 3 1000 128k' "$top,align=4k,max-transfer=64k"
ok 'zeroes in odd pieces' xdisk io --image-opts -c 'write -z 32M 32M' \
	"$top,align=512,opt-write-zero=15M,max-write-zero=15M"
ok 'discards in odd pieces' xdisk io --image-opts -c 'discard 80000001 30M' \
	"$top,align=512,opt-discard=15M,max-discard=15M,discard=unmap"
ok 'what is there' xdisk io -f qcow2 -c 'read -P 2 0 1000' \
	-c 'read -P 3 1000 128k' -c 'read -P 2 132072 33422360' \
	-c 'read -P 0 32M 32M' -c 'read -P 2 64M 13M' -c 'read -P 0 77M 29M' \
	-c 'read -P 2 106M 22M' b
ok 'is sound' clean b
ok 'options with the name' xdisk io -f qcow2 \
	-c 'open -o driver=qcow2,file.align=4k blkdebug::a' -c 'read -P 5 1 1000'

refused() { rc 1 "refused: $1" xdisk info --image-opts "$2" && said "$1: said" "$3"; }
refused 'an event' "$debug,$rule.event=later" later
refused 'no event' "$debug,$rule.errno=5" 'event name'
refused 'a key' "$debug,$rule.event=none,$rule.colour=red" colour
refused 'a type' "$debug,$rule.event=none,$rule.iotype=red" red
refused 'an option' "$debug,file.min-transfer=4k" min-transfer
refused 'an alignment' "$top,align=3000" align
refused 'a limit' "$top,align=4k,max-transfer=6k" max-transfer
printf '[inject]\n' > bad
refused 'a section' "$debug,file.config=bad" 'line 1'
printf '[set-state]\nevent\n' > bad
refused 'a line' "$debug,file.config=bad" 'line 2'

group 'breakpoints'
ok 'a write that waits' xdisk io -f qcow2 -c 'break write_aio A' \
	-c 'aio_write -P 9 0 64k' -c 'wait_break A' -c 'write -P 8 64k 64k' \
	-c 'read -P 5 0 64k' -c 'resume A' -c aio_flush -c 'read -P 9 0 64k' \
	-c 'read -P 8 64k 64k' blkdebug::a
says "^blkdebug: Suspended request 'A'"
said 'to go on, too' "^blkdebug: Resuming request 'A'"
ok 'a breakpoint that goes unused' xdisk io -f qcow2 -c 'break write_aio A' \
	-c 'remove_break A' -c 'write 0 64k' blkdebug::a

# The second does not take back what the first has written.
group 'two writes into one block of a host that has large ones'
truncate -s 64k blocks
for event in pwritev_rmw_head pwritev_rmw_after_head pwritev pwritev_done; do
	ok "held at $event" xdisk io \
		-c 'open -o driver=raw,file.align=4k blkdebug::blocks' \
		-c "break $event A" -c 'aio_write -P 10 4608 512' \
		-c 'wait_break A' -c 'aio_write -P 11 5120 512' -c 'sleep 20' \
		-c 'resume A' -c aio_flush -c 'read -P 10 4608 512' \
		-c 'read -P 11 5120 512' -c 'read -P 0 0 4608'
done
rc 1 'no such event' xdisk io -f qcow2 -c 'break never A' blkdebug::a
rc 1 'no blkdebug' xdisk io -f qcow2 -c 'break write_aio A' a
rc 1 'nothing to resume' xdisk io -f qcow2 -c 'resume A' blkdebug::a
finish
