#!/usr/bin/python3
"""A VM that sends but never receives: deaf.py MAC FD sends a DHCP DISCOVER every 0.2 s until it is ended."""
import os
import socket
import struct
import sys
import time

mac = bytes.fromhex(sys.argv[1].replace(":", ""))
s = socket.socket(fileno=int(sys.argv[2]))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


print("ready", flush=True)
number = 0
while True:
    number = number % 5 + 1
    bootp = struct.pack("!BBBBIHH16s16s", 1, 1, 6, 0, number, 0, 0x8000, bytes(16), mac + bytes(10))
    bootp += bytes(64 + 128) + b"\x63\x82\x53\x63" + b"\x35\x01\x01\xff"
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    s.send(b"\xff" * 6 + mac + b"\x08\x00" + head + udp)
    time.sleep(0.2)
