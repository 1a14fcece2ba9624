#!/usr/bin/python3
"""Starts softnet with connected datagram sockets, and other programs at their far ends.

    cable.py [--vm] [--host] [--control [--stdout]] [--keep] [--uid N] -- SOFTNET ARGUMENT…

--vm and --host make a socket pair each, --control one of stream sockets; `{vm}`, `{host}` and `{control}` in softnet's
arguments become descriptors of softnet's ends. --stdout makes the control channel softnet's standard output. Standard input takes one JSON object a line:
    {"run": NAME, "command": [...]}   starts a program; `{vm}` … become descriptors of the far ends
    {"close": "vm" | …}          closes this program's own copy of a far end
Standard output tells {"started": NAME, "pid": N}, {"exited": NAME, "code": N} (negative: a signal). Programs other than
softnet print to standard output, softnet to standard error. --keep keeps copies of softnet's own ends open, as Tart
does; --uid starts softnet as another user. Both ends get the buffer sizes that Tart gives them.
"""
import argparse
import json
import os
import socket
import subprocess
import sys
import threading

parser = argparse.ArgumentParser()
parser.add_argument("--vm", action="store_true")
parser.add_argument("--host", action="store_true")
parser.add_argument("--control", action="store_true")
parser.add_argument("--stdout", action="store_true")
parser.add_argument("--keep", action="store_true")
parser.add_argument("--uid", type=int)
parser.add_argument("softnet", nargs="+")
options = parser.parse_args()

lock = threading.Lock()
ours = {}
far = {}
for name in ("vm", "host"):
    if getattr(options, name):
        ours[name], far[name] = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (ours[name], far[name]):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
if options.control:
    ours["control"], far["control"] = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def tell(**what):
    with lock:
        sys.stdout.write(json.dumps(what) + "\n")  # in one piece: other programs write here too
        sys.stdout.flush()


def start(name, command, ends, **more):
    fds = []
    for key, end in ends.items():
        mark = "{%s}" % key
        if any(mark in word for word in command):
            fds.append(end.fileno())
            command = [word.replace(mark, str(end.fileno())) for word in command]
    child = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL, **more)
    tell(started=name, pid=child.pid)

    def wait():
        tell(exited=name, code=child.wait())

    threading.Thread(target=wait, daemon=True).start()


user = {} if options.uid is None else {"user": options.uid, "group": options.uid, "extra_groups": []}
stdout = ours["control"] if options.stdout else subprocess.DEVNULL
start("softnet", options.softnet, ours, stdout=stdout, **user)
if not options.keep:
    for end in ours.values():
        end.close()
for line in sys.stdin:
    order = json.loads(line)
    if "run" in order:
        start(order["run"], order["command"], far, stderr=sys.stdout)
    elif "close" in order:
        far.pop(order["close"]).close()
