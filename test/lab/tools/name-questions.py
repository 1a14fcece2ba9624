#!/usr/bin/python3
"""DNS questions by hand: name-questions.py SERVER CASE. Prints what came back, a line each, or "refused", "silent".

A line is: the question's type, the RCODE, and the addresses of A records; or "end" where the server closed.
"""
import socket
import struct
import sys
import time

server, case = sys.argv[1:]
A, NULL, AAAA, HTTPS, ANY, PRIVATE = 1, 10, 28, 65, 255, 65280
GOOD, EVIL = [b"good", b"example", b"com"], [b"evil", b"example", b"com"]
OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
PATIENCE = 4 if case == "fragments" else 20


def labels(name):
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def question(name, kind=A, number=1, edns=False, count=1, section=None):
    section = section or labels(name) + struct.pack("!HH", kind, 1)
    return struct.pack("!HHHHHH", number, 0x0100, count, 0, 0, edns) + section + (OPT if edns else b"")


def told(answer):
    flags, _, records = struct.unpack("!HHH", answer[2:8])
    at = 12
    while answer[at]:
        at += 1 + answer[at]
    at += 1
    kind = struct.unpack("!H", answer[at : at + 2])[0]
    at += 4
    addresses = []
    for _ in range(records):
        while answer[at] and answer[at] < 0xC0:
            at += 1 + answer[at]
        at += 1 if answer[at] == 0 else 2
        record, _, _, size = struct.unpack("!HHIH", answer[at : at + 10])
        at += 10
        if record == A:
            addresses.append(socket.inet_ntoa(answer[at : at + 4]))
        at += size
    return " ".join([str(kind), str(flags & 15), *addresses])


def by_udp(*messages):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect((server, 53))
        begin = time.monotonic()
        for message in messages:
            client.send(message)
        for line in sorted(told(client.recv(4096)) for _ in messages):
            print(line)
        if time.monotonic() - begin > 5:
            print("late")


def by_tcp(*pieces, pause=0.001):
    with socket.create_connection((server, 53), PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
            time.sleep(pause)
        try:
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        heard = b""
        while piece := client.recv(4096):
            heard += piece
    while heard:
        size = int.from_bytes(heard[:2], "big")
        print(told(heard[2 : 2 + size]))
        heard = heard[2 + size :]
    print("end")


def framed(message):
    return len(message).to_bytes(2, "big") + message


def flood(count):
    """Sends as fast as it goes, and says how many were answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.connect((server, 53))
        begin, sent, answers = time.monotonic(), 0, 0
        while sent < count:
            try:
                client.send(question(GOOD, number=sent))
                sent += 1
            except OSError:
                pass
        while True:
            try:
                client.recv(4096)
                answers += 1
            except TimeoutError:
                break
            except OSError:
                pass
        # What the bucket gives: 100, and 20 each second.
        print("bounded" if 50 < answers <= 100 + 20 * (time.monotonic() - begin) + 1 else "answered %d" % answers)


CASES = {
    "A, AAAA and HTTPS at once": lambda: by_udp(*(question(GOOD, kind, kind, True) for kind in (A, AAAA, HTTPS))),
    "forbidden": lambda: by_udp(question(EVIL), question(EVIL, AAAA, 2, True)),
    "forbidden by TCP": lambda: by_tcp(framed(question(EVIL))),
    "byte by byte by TCP": lambda: by_tcp(*(bytes([byte]) for byte in framed(question(GOOD)))),
    "allowed, then forbidden, by TCP": lambda: by_tcp(
        framed(question(GOOD)), framed(question(EVIL)), pause=0.5
    ),
    "at once by TCP": lambda: by_tcp(framed(question(GOOD)) + framed(question(EVIL))),
    "a label with a dot": lambda: by_udp(question([b"good.example", b"com"])),
    "a label with a NUL": lambda: by_udp(question([b"good", b"example", b"com\0x"])),
    "below an exact name": lambda: by_udp(question([b"x", *GOOD])),
    "upper and lower case": lambda: by_udp(question([b"gOOd", b"EXample", b"cOM"])),
    "ANY, NULL and a private type": lambda: by_udp(*(question(GOOD, kind, kind) for kind in (ANY, NULL, PRIVATE))),
    "two questions": lambda: by_udp(
        question(GOOD, count=2, section=labels(GOOD) + b"\0\1\0\1" + labels(EVIL) + b"\0\1\0\1")
    ),
    "a pointer in the question": lambda: by_udp(question(GOOD, section=b"\4evil\xc0\x0c\0\1\0\1")),
    "bytes behind the question": lambda: by_udp(question(GOOD) + b"secret"),
    "an update": lambda: by_udp(b"\0\1\x28\0" + question(GOOD)[4:]),
    "fragments": lambda: by_udp(question(GOOD) + bytes(3000)),
    "flood": lambda: flood(1000),
}
try:
    CASES[case]()
except TimeoutError:
    print("silent")
except OSError:
    # By ICMP: a port that is unreachable, or communication that is prohibited.
    print("refused")
