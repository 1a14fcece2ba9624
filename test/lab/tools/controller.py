#!/usr/bin/python3
"""A controller at the far end of a channel: controller.py DESCRIPTOR REQUEST …

Sends each request as a line and prints what comes back as "answer: LINE"; then reads on, and prints what else comes as
"more: LINE" and at the end "end".
"""
import socket
import sys

s = socket.socket(fileno=int(sys.argv[1]))
lines = s.makefile("rwb", buffering=0)
for request in sys.argv[2:]:
    lines.write(request.encode() + b"\n")
    print("answer:", lines.readline().decode().rstrip("\n"), flush=True)
print("asked", flush=True)
while line := lines.readline():
    print("more:", line.decode(errors="replace").rstrip("\n"), flush=True)
print("end", flush=True)
