#!/usr/bin/python3
"""Opens new flows until it is ended: new_flows.py ADDRESS [RATE]

Small UDP datagrams, each of a flow that there was not before, until all pairs of 59 ports here and 60,000 there were used. RATE:
so many a second, and what could not be sent in time is not made up for; else as fast as it can. Prints "begun" first.
"""
import socket
import sys
import time

BATCH = 64

sockets = []
for _ in range(59):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    sockets.append(one)
data = b"x" * 18
pause = BATCH / int(sys.argv[2]) if len(sys.argv) > 2 else 0
print("begun", flush=True)
due = time.monotonic()
while True:
    for one in sockets:
        for port in range(1024, 61024):
            try:
                one.sendto(data, (sys.argv[1], port))
            except OSError:
                pass  # The card's queue is full, or nobody listens there.
            if pause == 0 or port % BATCH != 0:
                continue
            now = time.monotonic()
            due = max(due + pause, now - 0.05)
            if due > now:
                time.sleep(due - now)
