# SPDX-License-Identifier: LGPL-2.1-or-later
# special.py KIND PATH REASON COMMAND...: runs COMMAND with a special file at
# PATH, a "FIFO" or a "character device". Both show whether they were opened,
# however shortly: 0 is a COMMAND that failed, gave that REASON (a regular
# expression), and did not open it.
import fcntl
import os
import re
import struct
import subprocess
import sys
import threading


class Fifo:
    """A writer waits until somebody opens the other end."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.writer = threading.Thread(target=self.write)
        self.writer.start()

    def write(self):
        os.close(os.open(self.path, os.O_WRONLY))

    def was_opened(self):
        self.writer.join(0.1)
        opened = not self.writer.is_alive()
        os.close(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK))
        self.writer.join()
        return opened


class Terminal:
    """The master reads an error once the slave was opened and closed."""

    def __init__(self, path):
        self.master = os.open('/dev/ptmx', os.O_RDWR | os.O_NOCTTY)
        fcntl.ioctl(self.master, 0x40045431, struct.pack('i', 0))  # TIOCSPTLCK
        number = fcntl.ioctl(self.master, 0x80045430, bytes(4))    # TIOCGPTN
        os.symlink('/dev/pts/%d' % struct.unpack('i', number), path)
        os.set_blocking(self.master, False)

    def was_opened(self):
        try:
            os.read(self.master, 1)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True


kind, path, reason, *command = sys.argv[1:]
if os.path.lexists(path):
    os.unlink(path)
special = {'FIFO': Fifo, 'character device': Terminal}[kind](path)
done = subprocess.run(command, stdout=subprocess.PIPE,
                      stderr=subprocess.STDOUT, text=True)
opened = special.was_opened()
os.unlink(path)
print(done.stdout + 'status %d%s' % (done.returncode,
                                     ', was opened' if opened else ''))
sys.exit(opened or done.returncode == 0 or not re.search(reason, done.stdout))
