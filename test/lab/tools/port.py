"""TCP for the lab. `port.py listen ADDRESS PORT`: tells each client its address and prints it. `port.py ask ADDRESS PORT`: prints what it is told."""
import socket
import sys

what, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == "listen":
    server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    server.listen()
    print("ready", flush=True)
    while True:
        client, peer = server.accept()
        print("client", peer[0], flush=True)
        try:
            client.sendall(peer[0].encode())
        except OSError:
            pass
        client.close()
else:
    try:
        with socket.create_connection((address, port), timeout=4) as server:
            print(server.recv(64).decode())
    except OSError as error:
        print("no:", error)
