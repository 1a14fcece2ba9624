#!/usr/bin/python3
"""Says how much it got, after each piece: name-sink.py ADDRESS. TCP 80, 443 and 853 (also in a SYN), UDP 443, 853 and 5353.

Every answer is a line "got N" with all bytes of the connection so far, or of the datagram. Prints "ready".
"""
import socket
import sys
import threading

address = sys.argv[1]


def talk(connection):
    got = 0
    with connection:
        # Urgent data counts as any other.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        try:
            while piece := connection.recv(65536):
                got += len(piece)
                connection.sendall(b"got %d\n" % got)
        except OSError:
            pass


def listen(port):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
    server.bind((address, port))
    server.listen(50)
    return server


def accept(server):
    while True:
        threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()


def datagrams(server):
    while True:
        data, client = server.recvfrom(65536)
        server.sendto(b"got %d\n" % len(data), client)


threads = [threading.Thread(target=accept, args=(listen(port),)) for port in (80, 443, 853)]
for port in (443, 853, 5353):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((address, port))
    threads.append(threading.Thread(target=datagrams, args=(udp,)))
for thread in threads:
    thread.start()
print("ready", flush=True)
