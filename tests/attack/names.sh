#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Names that lead where nobody should go, or are not fit to print.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img python3 iconv "$xdiskd" "$worker" "$xdisk"
simxen_start
dir=$SIMXEN_DIR

# over NAME: an overlay that says it stands on that
over() {
	qemu-img create -q -f qcow2 -u -b "$1" -F qcow2 "$dir/over" 8M
}

# ---- what is told -----------------------------------------------------------

node() {
	xenstore-read -R "/local/domain/0/backend/qdisk/1/51712/$1"
}

# By both nodes, and by the log.
told() {
	guest create --domid 1 --disk "$dir/over,qcow2,xvda,rw" &&
	wait_for 5 node hotplug-error || return
	! guest verify --domid 1 --vdev xvda --ops 1 || return
	node error >"$dir/error" && node hotplug-error >"$dir/hotplug-error"
	guest destroy --domid 1 --quick
	cat "$dir/error"
	cmp "$dir/error" "$dir/hotplug-error" &&
	grep -qF -e "$1" "$dir/error" &&
	grep -aqF -e "$1" "$daemon_log"
}

one_line() {
	[ "$(wc -l <"$1")" -le "$2" ] && iconv -f UTF-8 -t UTF-8 "$1" &&
	! LC_ALL=C grep -a "[$(printf '\1-\10\13-\37\177')]" "$1"
}

lines_of_ours() {
	! grep -av '^xdisk\(d\|-worker\)\[[0-9]*\]: ' "$daemon_log"
}

# is_told NAME AS: as one line that cannot speak to a terminal
is_told() {
	over "$(printf "$1")" && told "$2" && one_line "$dir/error" 1 &&
	one_line "$daemon_log" 1000000 && lines_of_ours
}

# ---- special files ----------------------------------------------------------

# attached FORMAT IMAGE, and used, which fails for that reason
use() {
	"$simguest" create --domid 1 --disk \
		"backendtype=qdisk,format=$1,vdev=xvda,target=$2" &&
	"$simguest" verify --domid 1 --vdev xvda --ops 1
	use_status=$?
	"$simguest" destroy --domid 1 --quick
	return $use_status
}

# never_opened KIND FORMAT IMAGE: whose name or base is that
never_opened() {
	python3 "$srcdir/tests/functional/protocols/special.py" "$1" \
		"$dir/special" "is a $1" "$BASH" -c \
		"simguest=$simguest; $(declare -f use); use $2 $dir/$3"
}

SIMXEN_LOG=info daemon_start
group "a name that an image quotes"
while read -r what name as; do
	check "${what//_/ } is one line" is_told "$name" "$as"
done <<'END'
a_line_of_its_own no\nxdiskd[1]:_error:_forged no\nxdiskd[1]:_error:_forged
the_journal's_priority no\n<0>forged no\n<0>forged
escape_sequences no\033[2J\033]0;title\007 no\033[2J\033]0;title\a
returns_and_tabs no\rforged\tno no\rforged\tno
controls_in_UTF-8 no\302\233[2J no\302\233[2J
bytes_that_are_not_UTF-8 no\377\303\050 no\377\303(
END

for kind in FIFO 'character device'; do
	group "a $kind for an image"
	over "$dir/special"
	check "is not opened as raw" never_opened "$kind" raw special
	check "is not opened as qcow2" never_opened "$kind" qcow2 special
	check "is not opened as the base of one" never_opened "$kind" qcow2 over
done
tap_done
