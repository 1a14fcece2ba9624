"""UDP in segments (UDP_SEGMENT, udp(7)).

segments.py count ADDRESS PORT         prints "ready", then the length of each datagram that comes
segments.py send ADDRESS PORT SIZE N   sends N segments of SIZE bytes in one call
"""
import socket
import sys

UDP_SEGMENT = 103

command, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if command == "count":
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((address, port))
    print("ready", flush=True)
    while True:
        data, _ = sock.recvfrom(65536)
        print("got", len(data), data[:2].hex(), flush=True)
size, count = int(sys.argv[4]), int(sys.argv[5])
sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
payload = b"".join(number.to_bytes(2, "big") + bytes(size - 2) for number in range(count))
sock.sendto(payload, (address, port))
