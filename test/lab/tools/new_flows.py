#!/usr/bin/python3
"""Opens new flows as fast as it can until it is ended: new_flows.py ADDRESS

Small UDP datagrams, each of a flow that there was not before, until all pairs of 59 ports here and 60,000 there were used.
Prints "begun" first.
"""
import socket
import sys

sockets = []
for _ in range(59):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    sockets.append(one)
data = b"x" * 18
print("begun", flush=True)
while True:
    for one in sockets:
        for port in range(1024, 61024):
            try:
                one.sendto(data, (sys.argv[1], port))
            except OSError:
                pass  # The card's queue is full, or nobody listens there.
