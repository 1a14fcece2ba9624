#!/usr/bin/python3
"""A stand-in for a hypervisor: vmm.py TAP NAMESPACE CARD [--offloads].

Makes the TAP and holds it; moves frames between it and CARD, the other end of the guest's card, by packet socket. CARD is
in a namespace of its own, so that no TCP/IP stack but the guest's has to do with it. With
--offloads the TAP has the virtio-net header and takes segments and unfinished checksums, as Firecracker and Cloud
Hypervisor have it; what the guest hands over as a segment goes to the TAP as one. Prints "ready".
"""
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import subprocess
import sys

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
CSUM, TSO4, TSO6, TSO_ECN = 1, 2, 4, 8
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
CLONE_NEWNET = 0x40000000
HEADER = 10
# struct tpacket_auxdata: status, lengths, offsets, VLAN tag, its type.
AUXDATA, VLAN_VALID = "=IIIHHHH", 1 << 4
ADDRESSES = HEADER + 12

name, namespace, card = sys.argv[1:4]
offloads = "--offloads" in sys.argv
tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if offloads else 0)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
if offloads:
    fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack("i", HEADER))
    fcntl.ioctl(tap, TUNSETOFFLOAD, CSUM | TSO4 | TSO6 | TSO_ECN)
libc = ctypes.CDLL(None, use_errno=True)
with open("/run/netns/" + namespace) as place:
    if libc.setns(place.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
subprocess.check_call(["ip", "link", "set", card, "up"])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
s.bind((card, 0))
s.setblocking(False)
print("ready", flush=True)


def give(write, data):
    try:
        write(data)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EIO, errno.ENOBUFS, errno.ENETDOWN, errno.EINVAL, errno.EMSGSIZE):
            raise


def receive():
    """A frame with the tag that the kernel keeps beside it, where there is one."""
    data, beside, _, _ = s.recvmsg(70000, 64)
    for _, _, value in beside:
        status, _, _, _, _, tag, kind = struct.unpack(AUXDATA, value[: struct.calcsize(AUXDATA)])
        if status & VLAN_VALID:
            return data[:ADDRESSES] + struct.pack("!HH", kind or 0x8100, tag) + data[ADDRESSES:]
    return data


while True:
    readable, _, _ = select.select([tap, s], [], [])
    if s in readable:
        try:
            data = receive()
        except OSError as error:
            if error.errno in (errno.ENETDOWN, errno.EAGAIN):
                continue
            raise
        give(lambda d: os.write(tap, d), data if offloads else data[HEADER:])
    if tap in readable:
        data = os.read(tap, 70000)
        give(s.send, data if offloads else bytes(HEADER) + data)
