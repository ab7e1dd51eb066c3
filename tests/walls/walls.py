#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds every #include and every call between rooms against the table of rooms.

    walls.py SOURCE-TREE BUILD-TREE

The table is the one that ARCHITECTURE.md shows: a line a room, `room: rooms that
it may use`, `other+` being another one and all that it may use. A room is a
folder, or one file of it that has a line of its own. `room > file` is a list
that only the linker joins: the room declares it, the file, which stands above,
fills it.

A static function's name stands in one file, so that a backtrace and a search
name one place.

Prints a line `FILE:LINE: ...` for each breach, or `FILE: ...` for a symbol or a
name, and exits with 1 if there was one.
"""
import collections
import os
import re
import subprocess
import sys

MOST_FILES = 39		# of a folder, those of its subfolders not counted
TABLE = re.compile(r"^    ([\w/.-]+): *([\w/.+ -]*)$")
LINKED = re.compile(r"^    ([\w/.-]+) > ([\w/.-]+)$")
PROGRAM = re.compile(r"^(lib\w+_a|xdisk\w*)-")	# before an object's name
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
STATIC = re.compile(r"^static (?!inline)(?:[\w ]|\*)*?\b(\w+)\((?!\()[^;={]*\)\n\{", re.M)


class Walls:
    def __init__(self, source, build):
        self.source, self.build = source, build
        self.breaches = []
        self.statics = {}	# a function's name: its file
        self.may_use, self.linked = self.read_table()

    def breach(self, where, what):
        self.breaches.append(f"{where}: {what}")

    # ---- the table ----

    def read_table(self):
        rooms, linked, inside = {}, set(), False
        with open(os.path.join(self.source, "ARCHITECTURE.md")) as f:
            for line in f:
                if line.startswith("## "):
                    inside = line.strip() == "## Rooms"
                m = TABLE.match(line) if inside else None
                if m:
                    rooms[m[1]] = self.expand(rooms, m[2].split())
                m = LINKED.match(line) if inside else None
                if m:
                    linked.add((m[1], m[2]))
        return rooms, linked

    @staticmethod
    def expand(rooms, words):
        uses = []
        for word in words:
            room = word.rstrip("+")
            uses.append(room)
            if word.endswith("+"):
                uses += rooms.get(room, [])
        return uses

    def check_table(self):
        done = set()
        for room, uses in self.may_use.items():
            if not os.path.exists(os.path.join(self.source, room)):
                self.breach("ARCHITECTURE.md", f"there is no {room}")
            for used in uses:
                if used not in done:
                    self.breach("ARCHITECTURE.md", f"{room} may use {used}, "
                                "which is not one of the rooms above it")
            done.add(room)

    def room_of(self, path):
        if path in self.may_use:
            return path
        folder = os.path.dirname(path)
        return folder if folder in self.may_use else None

    def allowed(self, room, used):
        return used == room or used in self.may_use[room]

    # ---- files ----

    def files(self):
        for folder, below, names in os.walk(self.source):
            rel = os.path.relpath(folder, self.source)
            # build trees and what distcheck makes lie beside the sources
            below[:] = [b for b in below if not b.startswith(".") and
                        not os.path.exists(os.path.join(folder, b, "Makefile"))
                        and (rel, b) not in {(".", "asan"), (".", "fuzz"),
                                             (".", "xenlab")}]
            for name in sorted(names):
                yield os.path.normpath(os.path.join(rel, name))

    def check_files(self):
        in_folder = collections.Counter()
        for path in self.files():
            if path.endswith((".c", ".h")) and path != "config.h":
                in_folder[os.path.dirname(path)] += 1
                self.check_file(path)
        for folder, n in in_folder.items():
            if n > MOST_FILES:
                self.breach(folder, f"{n} files, more than {MOST_FILES}: too "
                            "many to find one")

    def check_file(self, path):
        if path.startswith("tests/") or "/test-" in path:
            return
        room = self.room_of(path)
        if not room:
            self.breach(path, "is in no room of ARCHITECTURE.md's table")
            return
        with open(os.path.join(self.source, path)) as f:
            text = f.read()
        for number, line in enumerate(text.split("\n"), 1):
            m = INCLUDE.match(line)
            if m and m[1] != "config.h":
                self.check_include(f"{path}:{number}", room, m[1])
        for m in STATIC.finditer(text):
            other = self.statics.setdefault(m[1], path)
            if other != path:
                self.breach(path, f"{m[1]}() is the name of a function of "
                            f"{other}, too")

    def check_include(self, where, room, header):
        used = self.room_of(header)
        if not os.path.exists(os.path.join(self.source, header)):
            self.breach(where, f'"{header}" is not a path from the top')
        elif not used:
            self.breach(where, f"{header} is in no room")
        elif not self.allowed(room, used):
            self.breach(where, f"{header}: {room} may not use {used}")

    # ---- symbols ----

    def objects(self):
        for room in self.may_use:
            folder = room if not room.endswith(".c") else None
            path = os.path.join(self.build, folder) if folder else None
            if path and os.path.isdir(path):
                for name in sorted(os.listdir(path)):
                    if name.endswith(".o"):
                        yield folder, name

    def source_of(self, folder, name):
        path = f"{folder}/{PROGRAM.sub('', name)[:-2]}.c"
        return path if os.path.exists(os.path.join(self.source, path)) else None

    def symbols(self, path):
        defined, used = set(), set()
        out = subprocess.run(["nm", path], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        for line in out.splitlines():
            kind, name = line.split()[-2:]
            if kind == "U":
                used.add(name)
            elif kind in "TDBRVWC":
                defined.add(name)
        return defined, used

    def check_symbols(self):
        home, uses = {}, []
        for folder, name in self.objects():
            path = self.source_of(folder, name)
            # none: of a file that was moved or removed
            if not path or "/test-" in path:
                continue
            obj = os.path.join(self.build, folder, name)
            defined, used = self.symbols(obj)
            # what each module offers to the program that loads it
            own = {"main", "image_protocol"}
            for symbol in defined - own:
                other = home.setdefault(symbol, path)
                if other != path:
                    self.breach(path, f"{symbol}() is one of {other}, too: "
                                "which of them is called?")
            uses.append((path, used))
        for path, used in uses:
            room = self.room_of(path)
            for symbol in sorted(used & home.keys()):
                self.check_symbol(path, room, symbol, home[symbol])
        return len(uses)

    def check_symbol(self, path, room, symbol, at):
        used = self.room_of(at)
        if not self.allowed(room, used) and (room, used) not in self.linked:
            self.breach(path, f"{symbol}() of {at}: {room} may not use {used}")


def main():
    walls = Walls(*sys.argv[1:3])
    if not walls.may_use:
        sys.exit("ARCHITECTURE.md has no table of rooms")
    walls.check_table()
    walls.check_files()
    objects = walls.check_symbols()
    print("\n".join(walls.breaches))
    print(f"{len(walls.may_use)} rooms, {objects} objects, "
          f"{len(walls.breaches)} breaches")
    sys.exit(1 if walls.breaches else 0)


main()
