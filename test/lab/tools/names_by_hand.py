"""Hellos, requests and TCP segments by hand, for name-talk.py."""
import socket
import struct

DATAGRAMS = {"QUIC": 443, "DNS over QUIC": 853, "multicast DNS by unicast": 5353}
# Dropped, and nothing is said: a sender that follows its RFC never does this.
NEVER_ANSWERED = {"a wrong checksum", "fragments", "the second half first", "urgent data"}


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def server_name(*names):
    return struct.pack("!H", 0) + vector(2, vector(2, b"".join(b"\0" + vector(2, name) for name in names)))


def hello_with(extensions):
    """A ClientHello in one message (RFC 8446 4.1.2)."""
    body = b"\3\3" + bytes(32) + b"\0" + vector(2, b"\x13\x01") + b"\1\0" + vector(2, extensions)
    return b"\1" + vector(3, body)


def record(message):
    return b"\x16\3\1" + vector(2, message)


def hello(name):
    return record(hello_with(server_name(name.encode())))


def hellos(name, forbidden):
    """Each in the pieces in which it is sent."""
    good, evil = name.encode(), forbidden.encode()
    message = hello_with(server_name(evil))
    whole = record(message)
    return {
        "an allowed hello": [record(hello_with(server_name(good)))],
        "a forbidden hello": [whole],
        "byte by byte": [whole[at : at + 1] for at in range(len(whole))],
        "a record for each byte": [b"".join(record(message[at : at + 1]) for at in range(len(message)))],
        "server_name twice": [record(hello_with(server_name(good) + server_name(evil)))],
        "two names in server_name": [record(hello_with(server_name(good, evil)))],
        "NUL in the name": [record(hello_with(server_name(good + b"\0." + evil)))],
        "a dot at the end of the name": [record(hello_with(server_name(good + b".")))],
        "no server_name": [record(hello_with(b""))],
        "something else": [b"SSH-2.0-lab\r\n"],
        "an alert first": [b"\x15\3\1\0\2\1\0" + whole],
    }


def requests(name, forbidden):
    good, evil = name.encode(), forbidden.encode()
    get = b"GET / HTTP/1.1\r\n"
    return {
        "an allowed request": get + b"Host: " + good + b"\r\n\r\n",
        "CONNECT": b"CONNECT " + evil + b":443 HTTP/1.1\r\nHost: " + good + b"\r\n\r\n",
        "absolute form": b"GET http://" + evil + b"/ HTTP/1.1\r\nHost: " + good + b"\r\n\r\n",
        "Host twice": get + b"Host: " + good + b"\r\nHost: " + evil + b"\r\n\r\n",
        "a folded Host": get + b"Host: " + good + b"\r\n " + evil + b"\r\n\r\n",
        "a field folded over Host": get + b"X: 1\r\n Host: " + good + b"\r\nHost: " + evil + b"\r\n\r\n",
        "a space before the colon": get + b"Host : " + evil + b"\r\nHost: " + good + b"\r\n\r\n",
        "LF alone": b"GET / HTTP/1.1\nHost: " + evil + b"\n\nHost: " + good + b"\r\n\r\n",
        "a NUL in Host": get + b"Host: " + good + b"\0" + evil + b"\r\n\r\n",
        "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
        "HTTP/2 without TLS": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
        "the user part of Host": get + b"Host: " + good + b"@" + evil + b"\r\n\r\n",
    }


# A segment: where its data begins in the stream, the data, and what is special.
RAW = {
    "another name when sent again": lambda good, evil: [
        (0, good[:-1], ""),
        (0, evil[:-1], ""),
        (len(evil) - 1, evil[-1:], ""),
    ],
    "the second half first": lambda good, evil: [(40, evil[40:], ""), (0, evil[:40], "")],
    "a wrong checksum": lambda good, evil: [(0, good, "wrong"), (40, evil[40:], ""), (0, evil[:40], "")],
    "fragments": lambda good, evil: [(0, evil, "fragments")],
    "an allowed hello with a wrong checksum": lambda good, evil: [(0, good, "wrong"), (0, evil, "")],
}


def total(data):
    data += b"\0" * (len(data) % 2)
    found = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while found >> 16:
        found = (found & 0xFFFF) + (found >> 16)
    return found


def packets(segments, own, peer, sequence, acknowledgement):
    ends = socket.inet_aton(own[0]) + socket.inet_aton(peer[0])
    for number, (at, data, special) in enumerate(segments):
        begin = (sequence + at) & 0xFFFFFFFF
        head = struct.pack("!HHIIBBHHH", own[1], peer[1], begin, acknowledgement, 0x50, 0x18, 65535, 0, 0)
        check = ~total(ends + struct.pack("!HH", 6, len(head) + len(data)) + head + data) & 0xFFFF
        if special == "wrong":
            check ^= 0x1111
        tcp = head[:16] + struct.pack("!H", check) + head[18:] + data
        cuts = [0, 48, len(tcp)] if special == "fragments" else [0, len(tcp)]
        for first, last in zip(cuts, cuts[1:]):
            more = 0x2000 if last < len(tcp) else 0
            size = 20 + last - first
            ip = struct.pack("!BBHHHBBH", 0x45, 0, size, 4000 + number, more | first // 8, 64, 6, 0) + ends
            yield ip[:10] + struct.pack("!H", ~total(ip) & 0xFFFF) + ip[12:] + tcp[first:last]
