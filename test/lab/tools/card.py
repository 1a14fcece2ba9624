#!/usr/bin/python3
"""A network card that stays when its softnet goes: card.py LINK MAC SOCKET.

A TAP in this namespace, whose frames go to the unix stream socket on which softnet waits (--vm-socket), each behind its
length in 4 bytes, as QEMU's -netdev stream does. Without a softnet it tries again; prints "connected" each time."""
import errno
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys
import time

link, mac, path = sys.argv[1:4]
tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", link.encode(), 0x1002))  # TUNSETIFF, IFF_TAP | IFF_NO_PI
subprocess.check_call(["ip", "link", "set", link, "address", mac, "up"])
print("ready", flush=True)


def connect():
    while True:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            s.connect(path)
            return s
        except OSError:
            s.close()
            time.sleep(0.02)


def drain():
    try:
        while True:
            os.read(tap, 65536)
    except BlockingIOError:
        pass


def whole(s, size):
    data = b""
    while len(data) < size:
        part = s.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


while True:
    s = connect()
    drain()  # what a card without a cable loses
    print("connected", flush=True)
    try:
        while True:
            readable, _, _ = select.select([tap, s], [], [])
            if tap in readable:
                frame = os.read(tap, 65536)
                s.sendall(struct.pack("!I", len(frame)) + frame)
            if s in readable:
                frame = whole(s, struct.unpack("!I", whole(s, 4))[0])
                try:
                    os.write(tap, frame)
                except OSError as error:
                    if error.errno not in (errno.EAGAIN, errno.EIO):
                        raise
    except (ConnectionError, BrokenPipeError):
        s.close()
