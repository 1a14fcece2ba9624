#!/usr/bin/python3
"""A stand-in for a hypervisor that uses vhost-net: vhost.py TAP NAMESPACE CARD.

Makes the TAP as QEMU does, with the virtio-net header and offloads, and hands it to the kernel's /dev/vhost-net, which reads
and writes it in this program's place. This program is the virtual machine's driver: it fills the two rings (virtio 1.2,
section 2.7) and moves frames between them and CARD, the other end of the guest's card, by packet socket. Prints "ready".
"""
import ctypes
import fcntl
import mmap
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
OFFLOADS = 1 | 2 | 4 | 8  # checksums, TSO4, TSO6, ECN
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
CLONE_NEWNET = 0x40000000
# linux/vhost.h
SET_FEATURES, SET_OWNER, SET_MEM_TABLE = 0x4008AF00, 0xAF01, 0x4008AF03
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE = 0x4008AF10, 0x4028AF11, 0x4008AF12
SET_VRING_KICK, SET_VRING_CALL, SET_BACKEND = 0x4008AF20, 0x4008AF21, 0x4008AF30
VIRTIO_F_VERSION_1 = 1 << 32
WRITABLE = 2
# The header of a packet socket, and of virtio 1: that has the number of buffers too.
SHORT, LONG = 10, 12
ENTRIES, BUFFER = 64, 1 << 17
RINGS = 1 << 16

memory = mmap.mmap(-1, RINGS + 2 * ENTRIES * BUFFER)
base = ctypes.addressof(ctypes.c_char.from_buffer(memory))


class Ring:
    """Queue 0 is what the machine receives, 1 what it sends."""

    def __init__(self, number):
        self.number = number
        self.table = number * (RINGS // 2)
        self.available = self.table + 0x1000
        self.used = self.table + 0x2000
        self.buffers = RINGS + number * ENTRIES * BUFFER
        self.kick, self.call = os.eventfd(0), os.eventfd(0, os.EFD_NONBLOCK)
        self.given = self.seen = 0

    def join(self, vhost, tap):
        state = lambda value: struct.pack("Ii", self.number, value)
        fcntl.ioctl(vhost, SET_VRING_NUM, state(ENTRIES))
        fcntl.ioctl(vhost, SET_VRING_BASE, state(0))
        places = (base + self.table, base + self.used, base + self.available, 0)
        fcntl.ioctl(vhost, SET_VRING_ADDR, struct.pack("IIQQQQ", self.number, 0, *places))
        fcntl.ioctl(vhost, SET_VRING_KICK, state(self.kick))
        fcntl.ioctl(vhost, SET_VRING_CALL, state(self.call))
        fcntl.ioctl(vhost, SET_BACKEND, state(tap))

    def buffer(self, entry):
        return self.buffers + entry * BUFFER

    def give(self, entry, length, flags):
        struct.pack_into("QIHH", memory, self.table + 16 * entry, base + self.buffer(entry), length, flags, 0)
        struct.pack_into("H", memory, self.available + 4 + 2 * (self.given % ENTRIES), entry)
        self.given += 1
        struct.pack_into("H", memory, self.available + 2, self.given & 0xFFFF)
        os.eventfd_write(self.kick, 1)

    def taken(self):
        """Entries that the kernel is done with, and how many bytes it wrote."""
        (until,) = struct.unpack_from("H", memory, self.used + 2)
        while self.seen & 0xFFFF != until:
            yield struct.unpack_from("II", memory, self.used + 4 + 8 * (self.seen % ENTRIES))
            self.seen += 1


name, namespace, card = sys.argv[1:4]
tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack("i", LONG))
fcntl.ioctl(tap, TUNSETOFFLOAD, OFFLOADS)
vhost = os.open("/dev/vhost-net", os.O_RDWR)
fcntl.ioctl(vhost, SET_OWNER)
fcntl.ioctl(vhost, SET_FEATURES, struct.pack("Q", VIRTIO_F_VERSION_1))
region = struct.pack("QQQQ", base, len(memory), base, 0)
fcntl.ioctl(vhost, SET_MEM_TABLE, struct.pack("II", 1, 0) + region)
receives, sends = Ring(0), Ring(1)
for ring in (receives, sends):
    ring.join(vhost, tap)
for entry in range(ENTRIES):
    receives.give(entry, BUFFER, WRITABLE)
free = list(range(ENTRIES))

libc = ctypes.CDLL(None, use_errno=True)
with open("/run/netns/" + namespace) as place:
    if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
subprocess.check_call(["ip", "link", "set", card, "up"])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
s.bind((card, 0))
s.setblocking(False)
print("ready", flush=True)


def to_kernel():
    free.extend(entry for entry, _ in sends.taken())
    try:
        data = s.recv(70000)
    except OSError:
        return
    if not free:
        return  # The ring is full: the machine's driver would wait.
    entry = free.pop()
    frame = data[:SHORT] + bytes(LONG - SHORT) + data[SHORT:]
    memory[sends.buffer(entry) : sends.buffer(entry) + len(frame)] = frame
    sends.give(entry, len(frame), 0)


def from_kernel():
    for entry, length in list(receives.taken()):
        at = receives.buffer(entry)
        try:
            s.send(memory[at : at + SHORT] + memory[at + LONG : at + length])
        except OSError:
            pass  # The card is down, or full.
        receives.give(entry, BUFFER, WRITABLE)


while True:
    readable, _, _ = select.select([s, receives.call], [], [])
    if s in readable:
        to_kernel()
    if receives.call in readable:
        os.eventfd_read(receives.call)
        from_kernel()
