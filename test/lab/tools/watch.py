#!/usr/bin/python3
"""Prints every frame of a link as one JSON object a line. Usage: watch.py LINK; prints "ready" first."""
import json
import socket
import struct
import sys

SO_TIMESTAMPNS = 35  # asm-generic/socket.h


def mac(b):
    return ":".join("%02x" % x for x in b)


def ip(b):
    return socket.inet_ntoa(b)


def dhcp(b):
    seen = {
        "operation": b[0],
        "xid": struct.unpack("!I", b[4:8])[0],
        "ciaddr": ip(b[12:16]),
        "yiaddr": ip(b[16:20]),
        "chaddr": mac(b[28:34]),
    }
    i = 240
    while i + 1 < len(b) and b[i] != 255:
        if b[i] == 0:
            i += 1
            continue
        value = b[i + 2 : i + 2 + b[i + 1]]
        if b[i] == 53 and len(value) == 1:
            seen["type"] = value[0]
        elif b[i] == 50 and len(value) == 4:
            seen["requested"] = ip(value)
        elif b[i] == 54 and len(value) == 4:
            seen["server"] = ip(value)
        elif b[i] == 61:
            seen["clientIdentifier"] = value.hex()
        i += 2 + b[i + 1]
    return seen


def ip6(body):
    """Addresses, the upper layer behind all extension headers, ICMPv6's type and UDP's ports where they are at hand."""
    address = lambda b: socket.inet_ntop(socket.AF_INET6, b)
    seen = {"source": address(body[8:24]), "destination": address(body[24:40]), "extensions": []}
    protocol, at = body[6], 40
    while protocol in (0, 43, 44, 60) and len(body) >= at + 8:
        seen["extensions"].append(protocol)
        if protocol == 44 and struct.unpack("!H", body[at + 2 : at + 4])[0] & 0xFFF8:
            protocol, at = body[at], len(body)
        else:
            protocol, at = body[at], at + (8 if protocol == 44 else 8 + 8 * body[at + 1])
    seen["protocol"] = protocol
    if protocol == 58 and len(body) >= at + 8:
        seen["icmp"] = body[at]
        if body[at] in (135, 136) and len(body) >= at + 24:
            seen["target"] = address(body[at + 8 : at + 24])
    if protocol == 17 and len(body) >= at + 8:
        ports = struct.unpack("!HH", body[at : at + 4])
        seen["udp"] = {"source": ports[0], "destination": ports[1]}
    return seen


def describe(frame, sent, time):
    seen = {
        "sent": sent,
        "time": time,
        "length": len(frame),
        "destination": mac(frame[0:6]),
        "source": mac(frame[6:12]),
        "type": struct.unpack("!H", frame[12:14])[0],
    }
    body = frame[14:]
    if seen["type"] == 0x0806 and len(body) >= 28:
        seen["arp"] = {
            "operation": struct.unpack("!H", body[6:8])[0],
            "senderMac": mac(body[8:14]),
            "sender": ip(body[14:18]),
            "target": ip(body[24:28]),
        }
    if seen["type"] == 0x0800 and len(body) >= 20:
        seen["ip"] = {"source": ip(body[12:16]), "destination": ip(body[16:20]), "protocol": body[9]}
        payload = body[(body[0] & 15) * 4 :]
        first = struct.unpack("!H", body[6:8])[0] & 0x1FFF == 0
        if body[9] == 17 and first and len(payload) >= 8:
            ports = struct.unpack("!HH", payload[0:4])
            seen["udp"] = {"source": ports[0], "destination": ports[1]}
            if ports in ((67, 68), (68, 67), (67, 67)) and len(payload) >= 8 + 240:
                seen["dhcp"] = dhcp(payload[8:])
    if seen["type"] == 0x86DD and len(body) >= 40:
        seen["ip6"] = ip6(body)
    return seen


def main():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.bind((sys.argv[1], 0))
    print("ready", flush=True)
    while True:
        frame, [(_, _, stamp)], _, address = s.recvmsg(65536, 64)
        seconds, nanoseconds = struct.unpack("ll", stamp)
        if len(frame) >= 14:
            sent = address[2] == socket.PACKET_OUTGOING
            print(json.dumps(describe(frame, sent, seconds * 1e3 + nanoseconds / 1e6)), flush=True)


main()
