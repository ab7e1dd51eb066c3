# SPDX-License-Identifier: LGPL-2.1-or-later
# web-server.py FOLDER: serves its files on 127.0.0.1, by ranges. Prints the port.
# A first part of the path asks for trouble: /whole/F ignores ranges, /grown/F
# tells another length with each part, /cut/F ends too early, /long/F sends more
# than was asked for, /silent/F does not tell the length, /login/F wants the
# user "me" with the password "it". These redirect: /away/F to /F, with a body;
# /loop/F to itself; /nowhere/F without saying where; /file/F to a file: URL,
# /host/F to another name of this host, /port/F to another port, /tls/F to
# https.
import base64
import http.server
import os
import re
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def redirect(self, where, body):
        self.send_response(302)
        if where:
            self.send_header("Location", where)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"away!" if body else b"")

    def log_in(self):
        """Whether he may; else the answer."""
        wanted = "Basic " + base64.b64encode(b"me:it").decode()
        if self.headers.get("Authorization") != wanted:
            self.send_error(401)
            return False
        return True

    def answer(self, body):
        how, name = re.match(r"/(?:(\w+)/)?(.*)", self.path).groups()
        path = os.path.join(sys.argv[1], name)
        places = {"away": "/" + name, "loop": self.path, "nowhere": None,
                  "file": "file://" + path,
                  "host": "http://localhost:%d/%s" % (port, name),
                  "port": "http://127.0.0.1:%d/%s" % (port ^ 1, name),
                  "tls": "https://127.0.0.1:%d/%s" % (port, name)}
        if how in places:
            return self.redirect(places[how], body)
        if how == "login" and not self.log_in():
            return None
        if not os.path.exists(path):
            return self.send_error(404)
        size = os.path.getsize(path)
        asked = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not body or not asked or how == "whole":
            start, end = 0, size
            self.send_response(200)
        else:
            start, end = int(asked[1]), min(int(asked[2]) + 1, size)
            self.send_response(206)
            self.send_header("Content-Range", "bytes %d-%d/%d" % (
                start, end - 1, size + (how == "grown")))
        with open(path, "rb") as f:
            f.seek(start)
            data = f.read(end - start) if body else b""
        length = len(data) if body else size
        if body and how == "long":
            data += b"x" * 5000
            length = len(data)
        if how == "silent":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data[:len(data) // 2] if how == "cut" else data)
        self.close_connection = how in ("cut", "silent")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
port = server.server_port
print(port, flush=True)
threading.Thread(target=server.serve_forever).start()
