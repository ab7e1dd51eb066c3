#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A worker that its guest has taken over, in xdisk-worker's place.

It opens and connects domain 5's disk as it is told and behaves as $BEHAVIOUR
says from then on. Other disks have the good worker, $GOOD_WORKER.
"""
import json
import os
import signal
import socket
import sys
import time

LIMITS = {'size': 1 << 20, 'physical-block': 4096, 'discard-granularity': 4096,
          'discard': False}


def say(packet):
    sock.send(packet if isinstance(packet, bytes) else
              json.dumps(packet).encode())


def flood():
    while True:
        say({'event': 'failed', 'desc': 'again'})


def noise():
    say(b'this is not JSON')


def binary():
    say(bytes(range(256)) * 16)


def huge():
    say(b'{"event": "failed", "desc": "%s"}' % (b'x' * 100000))


def deep():
    say(b'[' * 50000)


def foreign():
    say({'greeting': 'hello'})


def unasked():
    say({'command': 'open', 'return': LIMITS})


def mute():
    sock.close()


if not sys.argv[sys.argv.index('--name') + 1].startswith('vbd 5/'):
    os.execv(os.environ['GOOD_WORKER'], [os.environ['GOOD_WORKER'],
                                         *sys.argv[1:]])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sock = socket.socket(fileno=3)
while True:
    packet = sock.recv(65536)
    if not packet:              # it was only to look at the image
        os._exit(0)
    command = json.loads(packet)['execute']
    say({'command': command,
         'return': LIMITS if command in ('probe', 'open') else {}})
    if command == 'connect':
        try:
            globals()[os.environ['BEHAVIOUR']]()
        except OSError:
            pass
        while True:             # only a signal ends it
            time.sleep(1)
