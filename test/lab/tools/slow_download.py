#!/usr/bin/python3
"""slow_download.py ADDRESS BYTES: HTTP GET /BYTES, 16 KiB at a time, slowly until a line comes on standard input. Prints
"begun", then how many came."""
import select
import socket
import sys

address, size = sys.argv[1], int(sys.argv[2])
s = socket.create_connection((address, 80), 20)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.settimeout(120)
s.sendall(b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % size)
head = b""
while b"\r\n\r\n" not in head:
    head += s.recv(1)
print("begun", flush=True)
came = 0
slow = True
while came < size:
    if slow and select.select([sys.stdin], [], [], 0.1)[0]:
        slow = False
    data = s.recv(16384)
    if not data:
        break
    came += len(data)
print(came, flush=True)
