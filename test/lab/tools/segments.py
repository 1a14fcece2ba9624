"""UDP in segments (UDP_SEGMENT, udp(7)).

segments.py count ADDRESS PORT             prints "ready", then the length of each datagram that comes
segments.py send ADDRESS PORT SIZE N       sends N segments of SIZE bytes in one call
segments.py echo ADDRESS PORT              prints "ready", returns each row of segments in one call, as it came
segments.py exchange ADDRESS PORT SIZE N   sends N segments in one call, waits for them to come back, and prints the
                                           digests of what was sent and of what came back
"""
import errno
import hashlib
import socket
import sys

UDP_SEGMENT = 103

command, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)


def send(datagrams, to):
    """In one call; one by one where the kernel takes none for an interface without checksums (before Linux 6.11)."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(datagrams[0]))
        sock.sendto(b"".join(datagrams), to)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        for datagram in datagrams:
            sock.sendto(datagram, to)


def digest(datagrams):
    """Of their order, lengths and bytes."""
    whole = hashlib.sha256()
    for datagram in datagrams:
        whole.update(len(datagram).to_bytes(2, "big") + datagram)
    return whole.hexdigest()


if command == "count":
    sock.bind((address, port))
    print("ready", flush=True)
    while True:
        data, _ = sock.recvfrom(65536)
        print("got", len(data), data[:2].hex(), flush=True)

if command == "echo":
    sock.bind((address, port))
    print("ready", flush=True)
    came = []
    while True:
        data, sender = sock.recvfrom(65536)
        # Each begins with its number, and with how many there are.
        if data[:2] == b"\0\0":
            came = []
        came.append(data)
        if len(came) == int.from_bytes(data[2:4], "big"):
            send(came, sender)

size, count = int(sys.argv[4]), int(sys.argv[5])
if command == "send":
    send([number.to_bytes(2, "big") + bytes(size - 2) for number in range(count)], (address, port))
if command == "exchange":
    sent = []
    for number in range(count):
        head = number.to_bytes(2, "big") + count.to_bytes(2, "big")
        sent.append(head + hashlib.shake_128(head).digest(size - 4))
    sock.settimeout(15)
    send(sent, (address, port))
    came = []
    while len(came) < count:
        came.append(sock.recv(65536))
    print(digest(sent), digest(came))
