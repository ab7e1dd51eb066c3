# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian's releases and where this machine gets their packages. Sourced by bash.
#
# The mirrors are always those that the machine's own apt is configured with: a
# release's sources are the machine's, with the other codename in them.

debian_releases="bookworm trixie"
debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The codename of what runs here; empty where it is not Debian.
machine_release() {
	(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") || :
}

# sources_of RELEASE [signed-by=...]: lines for a sources.list. Nothing when apt
# has no sources of the machine's own release. What apt would fetch tells them,
# however they are written down and whether or not it was ever fetched.
sources_of() {
	local own uri suite
	own=$(machine_release)
	apt-get --print-uris update |
		sed -n "s,^'\(.*/\)dists/\([^/ ]*\)/InRelease'.*,\1 \2,p" |
		while read -r uri suite; do
			case $suite in
			"$own" | "$own"-updates | "$own"-security)
				suite=$1${suite#"$own"} ;;
			*) continue ;;
			esac
			echo "deb ${2:+[$2] }$(mirror_of "$uri") $suite main"
		done | sort -u
}

# A list of mirrors in a file stands for its first one.
mirror_of() {
	local file=${1#mirror+file:}
	if [ "$file" = "$1" ]; then
		echo "$1"
	else
		sed -n 's/[[:space:]].*//; /^[a-z]*:/{p;q}' "${file%/}"
	fi
}
