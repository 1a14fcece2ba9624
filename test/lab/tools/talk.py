#!/usr/bin/python3
"""TCP connections that go on, and attempts to make some.

    talk.py serve ADDRESS PORT            sends each client a kilobyte every 5 ms, and reads what it sends; prints "ready",
                                          then "client ADDRESS"
    talk.py hear ADDRESS PORT             connects and reads; prints "connected", "heard BYTES" about every 50 ms, and at
                                          the end "reset" or "ended"
    talk.py exchange ADDRESS PORT         the same, and sends a kilobyte every 5 ms, too
    talk.py try tcp|udp ADDRESS PORT S    for S seconds at the most; prints "connected MS", "refused MS NAME" or "silent MS"
"""
import errno
import socket
import sys
import threading
import time

what, *words = sys.argv[1:]


def say(*line):
    print(*line, flush=True)


def talk(client):
    try:
        while True:
            client.sendall(bytes(1024))
            time.sleep(0.005)
    except OSError:
        client.close()


def ignore(client):
    try:
        while client.recv(65536):
            pass
    except OSError:
        pass


def serve(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.create_server((address, int(port)), family=family, backlog=64)
    say("ready")
    while True:
        client, (other, *_) = listening.accept()
        say("client", other)
        for way in (talk, ignore):
            threading.Thread(target=way, args=(client,), daemon=True).start()


def hear(address, port, sends=False):
    s = socket.create_connection((address, int(port)))
    say("connected")
    if sends:
        threading.Thread(target=talk, args=(s,), daemon=True).start()
    heard = 0
    told = 0
    try:
        while data := s.recv(65536):
            heard += len(data)
            if time.monotonic() - told > 0.05:
                told = time.monotonic()
                say("heard", heard)
        say("ended")
    except ConnectionResetError:
        say("reset")


def attempt(protocol, address, port, seconds):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(float(seconds))
    start = time.monotonic()
    try:
        s.connect((address, int(port)))
        if protocol == "udp":
            s.send(b"?")
            s.recv(1500)
        outcome, name = "connected", ""
    except socket.timeout:
        outcome, name = "silent", ""
    except OSError as error:
        outcome, name = "refused", errno.errorcode[error.errno]
    say(outcome, round((time.monotonic() - start) * 1000), name)


def exchange(address, port):
    hear(address, port, sends=True)


{"serve": serve, "hear": hear, "exchange": exchange, "try": attempt}[what](*words)
