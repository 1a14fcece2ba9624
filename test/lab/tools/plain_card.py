#!/usr/bin/python3
"""plain_card.py CARD: turns off what a card would do for the kernel: checksums, segments, scattered frames."""
import ctypes
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
TSO, GSO, GRO, SCATTER, SEND_CHECKSUM, RECEIVE_CHECKSUM = 0x1F, 0x24, 0x2C, 0x19, 0x17, 0x15

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for command in (TSO, GSO, GRO, SCATTER, SEND_CHECKSUM, RECEIVE_CHECKSUM):
    value = ctypes.create_string_buffer(struct.pack("II", command, 0))
    try:
        fcntl.ioctl(s, SIOCETHTOOL, struct.pack("16sQ16x", sys.argv[1].encode(), ctypes.addressof(value)))
    except OSError:
        pass  # a driver that has no such switch
