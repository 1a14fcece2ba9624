#!/usr/bin/python3
"""A controller at the far end of a channel: controller.py DESCRIPTOR REQUEST …

Sends each request as a line and prints what comes back as "answer: LINE"; then reads on, and prints what else comes as
"more: LINE" and at the end "end".
"""
import os
import socket
import sys


def say(line):
    """In one piece: others write to the same place."""
    os.write(1, (line + "\n").encode())


s = socket.socket(fileno=int(sys.argv[1]))
lines = s.makefile("rwb", buffering=0)
for request in sys.argv[2:]:
    lines.write(request.encode() + b"\n")
    say("answer: " + lines.readline().decode().rstrip("\n"))
say("asked")
while line := lines.readline():
    say("more: " + line.decode(errors="replace").rstrip("\n"))
say("end")
