#!/usr/bin/python3
"""A TAP at the far end of a datagram socket: tapfd.py LINK MAC FD. Prints "ready" once frames go both ways."""
import errno
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

link, mac, number = sys.argv[1:4]
tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", link.encode(), 0x1002))  # TUNSETIFF, IFF_TAP | IFF_NO_PI
subprocess.check_call(["ip", "link", "set", link, "address", mac, "up"])
s = socket.socket(fileno=int(number))
print("ready", flush=True)
while True:
    readable, _, _ = select.select([tap, s], [], [])
    if tap in readable:
        try:
            s.send(os.read(tap, 65536))
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                sys.exit(0)
            if error.errno not in (errno.EAGAIN, errno.EIO, errno.ENOBUFS):
                raise
    if s in readable:
        frame = s.recv(65536)
        try:
            os.write(tap, frame)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EIO):
                raise
