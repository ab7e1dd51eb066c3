#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Verified random I/O through the daemon: every format, and each thing a
# frontend can negotiate. What a run leaves is what the next one expects, and
# what qemu-img finds in the image afterwards.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img python3 "$xdiskd" "$worker"
simxen_start
daemon_start

dir=$SIMXEN_DIR
size=48M
ops=${OPS:-1500}

make_images() {
	truncate -s $size "$dir/raw" &&
	qemu-img create -q -f qcow2 "$dir/qcow2" $size &&
	qemu-img create -q -f qcow2 -o cluster_size=4096,refcount_bits=1 \
		"$dir/base" $size &&
	qemu-io -f qcow2 -c "write -P 0x5a 1M 20M" "$dir/base" >/dev/null &&
	qemu-img create -q -f qcow2 -b base -F qcow2 "$dir/overlay" &&
	for image in qcow2 overlay; do
		qemu-img bitmap -f qcow2 --add -g 4k "$dir/$image" b &&
		qemu-img convert -O raw "$dir/$image" "$dir/$image.before"
	done
}

# The dirty bitmap is closed, and knows of all that has changed.
judge_bitmap() {
	python3 "${srcdir:-.}/tests/functional/bitmaps.py" covers "$dir/$1" b \
		"$dir/$1.before" "$dir/$1.model"
}

# run DISK VDEV OPTIONS...
run() {
	run_image=$1 run_vdev=$2
	shift 2
	run_expect=
	[ -e "$dir/$run_image.model" ] &&
		run_expect="--expect $dir/$run_image.model"
	# shellcheck disable=SC2086
	guest verify --domid 1 --vdev "$run_vdev" --ops "$ops" $run_expect \
		--save "$dir/$run_image.model" "$@"
}

judge() {
	judge_format=$2
	[ "$1" = raw ] || qemu-img check -f "$judge_format" "$dir/$1" || return 1
	qemu-img compare -f raw -F "$judge_format" "$dir/$1.model" "$dir/$1"
}

check "images are made" make_images
check "a guest with three disks" guest create --domid 1 \
	--disk "backendtype=qdisk,vdev=xvda,target=$dir/raw" \
	--disk "$dir/qcow2,qcow2,xvdb,rw" --disk "$dir/overlay,qcow2,xvdc,rw"

# All that can be combined (make check-soak), or eight that differ much.
combinations() {
	if [ -z "$FULL" ]; then
		cat <<-END
		--indirect 0 --no-persistent
		--protocol x86_32-abi --no-persistent
		--protocol none --order 1 --queues 2
		--order 4 --queues 4 --indirect 256 --bs 1M
		--order 2 --protocol x86_32-abi --queues 3 --indirect 256 --no-persistent
		--qd 1 --ops 400
		--qd 64 --order 4 --bs 4k --mix 10,80,5,5,0 --no-persistent
		--order 3 --indirect 64 --reconnect 3
		END
		return
	fi
	for abi in x86_64-abi x86_32-abi none; do
		for order in 0 1 2 3 4; do
			for queues in 1 2 4; do
				for indirect in 0 32 256; do
					echo "--protocol $abi --order $order" \
						"--queues $queues" \
						"--indirect $indirect"
					echo "--protocol $abi --order $order" \
						"--queues $queues" \
						"--indirect $indirect" \
						--no-persistent --qd 64
				done
			done
		done
	done
}

seed=0
for disk in raw:xvda qcow2:xvdb overlay:xvdc; do
	image=${disk%:*} vdev=${disk#*:}
	while read -r options; do
		seed=$((seed + 1))
		# shellcheck disable=SC2086
		check "$image: $options" run "$image" "$vdev" --seed $seed $options
	done <<-END
	$(combinations)
	END
done
check "the guest is destroyed" guest destroy --domid 1 --quick
wait_for 5 [ "$(held_by_backends)" -eq 0 ]
check "raw holds what was written" judge raw raw
check "qcow2 is consistent and holds what was written" judge qcow2 qcow2
check "overlay is consistent and holds what was written" judge overlay qcow2
check "qcow2's bitmap covers it" judge_bitmap qcow2
check "overlay's bitmap covers it" judge_bitmap overlay
check "nothing is mapped or bound any more" [ "$(held_by_backends)" -eq 0 ]
tap_done
