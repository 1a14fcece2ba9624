"""Runs softnet with a terminal as standard error, sets the terminal otherwise while it runs, ends it, and prints what
became of the settings.

    terminal.py SIGNAL COMMAND...     COMMAND gets --vm-fd and --host-fd
"""
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios
import time

name, command = sys.argv[1], sys.argv[2:]
master, slave = pty.openpty()
vm, vm_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
host, host_far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for end in (vm, host):
    end.set_inheritable(True)


def own_terminal():
    os.setsid()
    import fcntl
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


process = subprocess.Popen(
    command + ["--vm-fd", str(vm.fileno()), "--host-fd", str(host.fileno())],
    stdin=slave, stdout=slave, stderr=slave, pass_fds=(vm.fileno(), host.fileno()), preexec_fn=own_terminal,
)
text, deadline = b"", time.monotonic() + 60
while b"started" not in text and time.monotonic() < deadline and process.poll() is None:
    if select.select([master], [], [], 0.1)[0]:
        text += os.read(master, 65536)
settings = termios.tcgetattr(slave)
settings[3] &= ~(termios.ECHO | termios.ICANON)  # as a shell that reads a line
settings[6][termios.VMIN] = b"\x07"
termios.tcsetattr(slave, termios.TCSANOW, settings)
wanted = termios.tcgetattr(slave)
process.send_signal(getattr(signal, name))
code = process.wait(60)
print("started" if b"started" in text else text.decode(), code, termios.tcgetattr(slave) == wanted)
