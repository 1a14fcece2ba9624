"""Asks a DNS server for evil.example.com and prints the address: ask-name.py udp|tcp SERVER."""
import socket
import sys

QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0\4evil\7example\3com\0\0\1\0\1"

protocol, server = sys.argv[1:]
try:
    if protocol == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.connect((server, 53))
            client.send(QUERY)
            answer = client.recv(2000)
    else:
        with socket.create_connection((server, 53), 20) as client:
            client.sendall(len(QUERY).to_bytes(2, "big") + QUERY)
            answer = client.recv(2000)
    print(".".join(str(byte) for byte in answer[-4:]))
except TimeoutError:
    sys.exit(28)
except OSError as error:
    print(error.strerror)
    sys.exit(1)
