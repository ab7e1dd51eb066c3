# SPDX-License-Identifier: LGPL-2.1-or-later
# web-server.py FOLDER: serves its files on 127.0.0.1, by ranges. Prints the port.
# A first part of the path asks for trouble: /whole/F ignores ranges, /grown/F
# tells another length with each part, /cut/F ends too early, /long/F sends more
# than was asked for, /away/F redirects to /F, /loop/F to itself, /file/F to a
# file: URL, /silent/F does not tell the length.
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

    def redirect(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, body):
        how, name = re.match(r"/(?:(\w+)/)?(.*)", self.path).groups()
        path = os.path.join(sys.argv[1], name)
        if how in ("away", "loop", "file"):
            return self.redirect({"away": "/" + name, "loop": self.path,
                                  "file": "file://" + path}[how])
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
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever).start()
