"""An IPv6 router in the lab. `router.py LINK PREFIX`: advertises itself and a /64 twice a second. A line on standard input is
the router lifetime in seconds from then on."""
import select
import socket
import struct
import sys

link, prefix = sys.argv[1], sys.argv[2]
index = socket.if_nametoindex(link)
router = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
lifetime = 1800
while True:
    if select.select([sys.stdin], [], [], 0.5)[0]:
        line = sys.stdin.readline()
        if line == "":
            break
        lifetime = int(line)
    message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, lifetime, 0, 0)
    message += struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 7200, 7200, 0) + socket.inet_pton(socket.AF_INET6, prefix)
    try:
        router.sendto(message, ("ff02::1", 0, 0, index))
    except OSError:
        continue
    print("sent", lifetime, flush=True)
