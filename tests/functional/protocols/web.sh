# SPDX-License-Identifier: LGPL-2.1-or-later
# web.sh: images on a web server, honest and not.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3
xdisk help | grep -q '^Protocols:.* https' || {
	echo "1..0 # SKIP built without libcurl"
	exit 0
}
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
export no_proxy=127.0.0.1

python3 "$srcdir/tests/functional/protocols/web-server.py" "$T" \
	> port 2> /dev/null &
server=$!
trap 'kill -9 $server; wait $server 2> /dev/null; rm -rf "$T"' EXIT
for i in $(seq 100); do
	[ ! -s port ] || break
	sleep 0.1
done
url=http://127.0.0.1:$(cat port)

qemu-img create -q -f qcow2 a.qcow2 64M
qemu-io -f qcow2 -c 'write -P 5 1M 9M' -c 'write -P 6 20M 100' \
	-c 'write -P 7 63M 1M' a.qcow2 > /dev/null
qemu-img convert -f qcow2 -O raw a.qcow2 a.raw
printf tail >> a.raw

ok 'info' xdisk info "$url/a.qcow2"
says 'file format: qcow2'
ok 'small reads' xdisk io -r -f qcow2 -c 'read -P 6 20M 100' \
	-c 'read -P 5 1M 512' -c 'read -P 0 0 1M' -c 'read -P 5 5555555 70000' \
	"$url/a.qcow2"
ok 'many at once' xdisk io -r -f qcow2 -c 'aio_read -P 5 1M 64k' \
	-c 'aio_read -P 5 2M 3M' -c 'aio_read -P 7 63M 1M' \
	-c 'aio_read -P 0 40M 2M' -c aio_flush "$url/a.qcow2"
ok 'compare' xdisk compare -f qcow2 -F qcow2 "$url/a.qcow2" a.qcow2
ok 'convert' xdisk convert -f qcow2 -O raw "$url/a.qcow2" b.raw
ok 'is the same' qemu-img compare -f raw -F qcow2 b.raw a.qcow2
ok 'raw' xdisk compare -f raw -F raw "$url/a.raw" a.raw
# leads DESCRIPTION PATH [URL]: that is read
leads()
{
	ok "$1" xdisk io -r -f qcow2 -c 'read -P 5 1M 512' \
		"${3:-$url}/$2a.qcow2"
}
leads 'a redirect' away/
leads 'five redirects' away/away/away/away/away/
leads 'a redirect with a password' away/login/ "http://me:it@${url#http://}"
qemu-img create -q -f qcow2 -b "$T/a.qcow2" -F qcow2 over.qcow2
qemu-img rebase -q -u -f qcow2 -b "$url/a.qcow2" -F qcow2 over.qcow2
rc 1 'a backing file never comes from there' xdisk io -r -f qcow2 \
	-c 'read 0 512' over.qcow2
says "http"

# no RESPONSE DESCRIPTION PATTERN: that cannot be read, and it says why
no()
{
	rc 1 "$2" xdisk io -r -f raw -c 'read 1M 64k' "$url/$1a.raw"
	said "$2: says so" "$3"
}
rc 1 'writing' xdisk io -f raw -c 'write 0 512' "$url/a.raw"
says 'can only be read'
no whole/ 'a server without ranges' 'does not send parts'
no grown/ 'a file that changes' 'another length'
no cut/ 'a cut answer' 'cannot be read'
no long/ 'too long an answer' 'cannot be read'
no loop/ 'a circle' 'more than 5 redirects'
no away/away/away/away/away/away/ 'six redirects' 'more than 5 redirects'
no nowhere/ 'a redirect to nowhere' 'status 302'
no file/ 'a redirect to a file' 'a redirect to no host'
no host/ 'a redirect to another host' \
	"$url redirects to http://localhost:${url##*:}: only the same host"
no away/host/ 'a redirect in two steps' "$url redirects to http://localhost:"
no port/ 'a redirect to another port' "$url redirects to http://127.0.0.1:"
no tls/ 'no TLS where https was found' 'SSL\|TLS\|certificate'
no silent/ 'no length' 'how long'
no nobody- 'no such file' '404'
rc 1 'nobody there' xdisk info http://127.0.0.1:1/a.raw
finish
