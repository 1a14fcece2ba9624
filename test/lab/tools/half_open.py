#!/usr/bin/python3
"""Connections that never come to be: half_open.py LINK ROUTER-MAC SOURCE NETWORK FIRST LAST EACH

From SOURCE to NETWORK.FIRST … NETWORK.LAST (three bytes and one) EACH bare SYNs with other source ports. Prints "sent N".
"""
import socket
import struct
import sys
import time

link, router, source, network, first, last, each = sys.argv[1:8]


def total(data):
    found = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while found >> 16:
        found = (found & 0xFFFF) + (found >> 16)
    return found


def packet(target, port):
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    tcp = struct.pack("!HHIIBBHHH", port, 80, port, 0, 0x50, 0x02, 65535, 0, 0)
    check = ~total(ends + struct.pack("!HH", 6, len(tcp)) + tcp) & 0xFFFF
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + ends
    return head[:10] + struct.pack("!H", ~total(head) & 0xFFFF) + head[12:] + tcp


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((link, 0))
own = mac(open("/sys/class/net/%s/address" % link).read().strip())
sent = 0
for number in range(int(first), int(last) + 1):
    for port in range(int(each)):
        frame = mac(router) + own + b"\x08\x00" + packet("%s.%d" % (network, number), 1024 + port)
        while True:
            try:
                s.send(frame)
                break
            except OSError:
                time.sleep(0.002)  # The card's queue is full.
        sent += 1
        if sent % 64 == 0:
            time.sleep(0.002)
print("sent", sent, flush=True)
