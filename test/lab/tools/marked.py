#!/usr/bin/python3
"""marked.py LINK SOURCE-MAC TARGET-MAC SOURCE TARGET MARK…: a host program that sends UDP with each firewall mark (SO_MARK),
as bytes of its own. Prints "sent"."""
import errno
import socket
import struct
import sys

SO_MARK = 36
link, source_mac, target_mac, source, target = sys.argv[1:6]


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


payload = struct.pack("!HHHH", 7777, 7777, 16, 0) + bytes(8)
header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0)
header += socket.inet_aton(source) + socket.inet_aton(target)
header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
for mark in sys.argv[6:]:
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("I", int(mark, 0)))
    s.bind((link, 0))
    for _ in range(5):
        try:
            s.send(mac(target_mac) + mac(source_mac) + b"\x08\x00" + header + payload)
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # dropped at the interface
                raise
print("sent", flush=True)
