#!/usr/bin/python3
"""First bytes by hand to name-sink.py, which has an allowed name: name-talk.py CASE NAME ADDRESS FORBIDDEN.

Looks NAME up, connects to ADDRESS, and sends what CASE says. Prints "through" when all of it arrived; "reset" or "refused" when
the connection was ended; "silent" when neither happened for some seconds.
"""
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
import names_by_hand as by_hand  # noqa: E402

case, name, address, forbidden = sys.argv[1:]
PATIENCE = 4 if case in by_hand.NEVER_ANSWERED else 20


def report(client, wanted):
    client.settimeout(PATIENCE)
    heard = b""
    try:
        while b"got %d\n" % wanted not in heard:
            piece = client.recv(4096)
            if piece == b"":
                return "reset"
            heard += piece
        return "through"
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "reset"


def datagram(port, data):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, port))
        client.send(data)
        return report(client, len(data))


def stream(port, pieces):
    with socket.create_connection((address, port), PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                client.sendall(piece)
        except OSError:
            return "reset"
        return report(client, sum(map(len, pieces)))


def in_the_syn(data):
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        client.sendto(data, socket.MSG_FASTOPEN, (address, 443))
        return report(client, len(data))


def urgent(data):
    with socket.create_connection((address, 443), PATIENCE) as client:
        client.send(data, socket.MSG_OOB)
        return report(client, len(data))


def raw(segments, wanted):
    """Beside a connection of the kernel's: its sequence number is read by TCP_REPAIR."""
    with socket.create_connection((address, 443), PATIENCE) as client:
        client.setsockopt(socket.IPPROTO_TCP, 19, 1)
        client.setsockopt(socket.IPPROTO_TCP, 20, 2)
        sequence = client.getsockopt(socket.IPPROTO_TCP, 21) & 0xFFFFFFFF
        client.setsockopt(socket.IPPROTO_TCP, 20, 1)
        acknowledgement = client.getsockopt(socket.IPPROTO_TCP, 21) & 0xFFFFFFFF
        # Without a probe of the window, which would come before the rest.
        client.setsockopt(socket.IPPROTO_TCP, 19, -1)
        own, port = client.getsockname()
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        with wire, socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
            for packet in by_hand.packets(segments, (own, port), (address, 443), sequence, acknowledgement):
                out.sendto(packet, (address, 0))
            return seen(wire, port, wanted)


def seen(wire, port, wanted):
    """The kernel drops answers to bytes that it did not send: what the peer says is seen on the wire."""
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0:
        wire.settimeout(left)
        try:
            packet, (_, _, kind, *_) = wire.recvfrom(65536)
        except TimeoutError:
            break
        if kind == socket.PACKET_OUTGOING or packet[9] != socket.IPPROTO_TCP:
            continue
        tcp = packet[20:]
        if packet[12:16] != socket.inet_aton(address) or struct.unpack("!H", tcp[2:4])[0] != port:
            continue
        if tcp[13] & 0x04:
            return "reset"
        if b"got %d\n" % wanted in tcp:
            return "through"
    return "silent"


socket.getaddrinfo(name, 443, socket.AF_INET)
hello = by_hand.hello
evil, good = hello(forbidden), hello(name)
http = by_hand.requests(name, forbidden)
try:
    if case in http:
        result = stream(80, [http[case]])
    elif case in by_hand.DATAGRAMS:
        result = datagram(by_hand.DATAGRAMS[case], b"x" * 1200)
    elif case == "DNS over TLS":
        result = stream(853, [good])
    elif case == "data in the SYN":
        result = in_the_syn(evil)
    elif case == "urgent data":
        result = urgent(evil)
    elif case in by_hand.RAW:
        result = raw(by_hand.RAW[case](good, evil), len(evil))
    else:
        result = stream(443, by_hand.hellos(name, forbidden)[case])
except TimeoutError:
    result = "silent"
except ConnectionRefusedError:
    result = "refused"
except OSError as error:
    result = "refused: %s" % error.strerror
print(result)
