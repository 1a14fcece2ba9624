/** The second guard on its own: literal bytes against rows of the threat table, so that it is more than an echo. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuardOptions, Verdict } from "../../src/guard/types.ts";
import { addressNumber } from "./bytes.ts";
import { OracleGuard } from "./guard.ts";
import { isGloballyReachable } from "./registry.ts";

/** Bytes from hexadecimal groups; `00*192` repeats a group. */
function hex(...groups: string[]): Uint8Array {
  const text = groups
    .join(" ")
    .trim()
    .split(/\s+/)
    .map((group) => {
      const [digits, times] = group.split("*");
      return digits!.repeat(Number(times ?? 1));
    });
  return new Uint8Array(Buffer.from(text.join(""), "hex"));
}

const VM = "7e1a00000001";
const GATEWAY = "020000000001";
const OTHER = "7e1a00000002";
const ALL = "ffffffffffff";

/** Options of a lease of 10 minutes; server, router and DNS server can be others. */
const offered = ({ server = "c0a84001", router = "c0a84001", dns = "c0a84002" } = {}): string =>
  `3604${server} 330400000258 0104ffffff00 0304${router} 0604${dns} ff`;

/** 240 bytes of BOOTP: op to flags, four addresses, chaddr, nothing in sname and file, the magic cookie. */
const bootp = (op: string, xid: string, ciaddr: string, yiaddr: string, chaddr = VM): string =>
  `${op}010600 ${xid} 00000000 ${ciaddr} ${yiaddr} 00*8 ${chaddr} 00*10 00*192 63825363`;

const DISCOVER = hex(
  `${ALL} ${VM} 0800 4500011000010000401179dd00000000ffffffff 0044004300fc0000`,
  `${bootp("01", "11223344", "00*4", "00*4")} 350101 ff`,
);
const fromServer = (type: string, xid: string, options = offered(), chaddr = VM): Uint8Array =>
  hex(
    `${VM} ${GATEWAY} 0800 4500012e0001000040117867c0a84001c0a84005 00430044011a0000`,
    `${bootp("02", xid, "00*4", "c0a84005", chaddr)} 3501${type} ${options}`,
  );
const OFFER = fromServer("02", "11223344");
const ACK = fromServer("05", "11223344");
const REQUEST = hex(
  `${ALL} ${VM} 0800 4500011c00010000401179d100000000ffffffff 0044004301080000`,
  `${bootp("01", "11223344", "00*4", "00*4")} 350103 3204c0a84005 3604c0a84001 ff`,
);
const RENEW = hex(
  `${GATEWAY} ${VM} 0800 45000110000100004011 7885 c0a84005c0a84001 0044004300fc0000`,
  `${bootp("01", "55667788", "c0a84005", "00*4")} 350103 ff`,
);
const REBIND = hex(
  `${ALL} ${VM} 0800 45000110000100004011 792f c0a84005ffffffff 0044004300fc0000`,
  `${bootp("01", "55667788", "c0a84005", "00*4")} 350103 ff`,
);
const inform = (yiaddr: string): Uint8Array =>
  hex(
    `${GATEWAY} ${VM} 0800 45000110000100004011 7885 c0a84005c0a84001 0044004300fc0000`,
    `${bootp("01", "aabbccdd", "c0a84005", yiaddr)} 350108 ff`,
  );
const RELEASE = hex(
  `${GATEWAY} ${VM} 0800 45000116000100004011 787f c0a84005c0a84001 0044004301020000`,
  `${bootp("01", "99999999", "c0a84005", "00*4")} 350107 3604c0a84001 ff`,
);

/** A UDP datagram to port 80 from 192.168.64.5, given checksum and destination. */
const udpTo = (checksum: string, destination: string, port = "0050"): Uint8Array =>
  hex(`${GATEWAY} ${VM} 0800 4500001c000100004011 ${checksum} c0a84005 ${destination} c350 ${port} 0008 0000`);
const TO_WORLD = udpTo("7821", "01010101");
const TO_GATEWAY = udpTo("7979", "c0a84001");

const arp = (to: string, from: string, operation: string, sender: string, target: string, targetMac = "00*6") =>
  hex(`${to} ${from} 0806 0001 0800 06 04 ${operation} ${from} ${sender} ${targetMac} ${target}`);

const SECOND = 1_000_000;

class Talk {
  readonly guard: OracleGuard;
  time = 1_000_000_000;

  constructor(options: Partial<GuardOptions> = {}) {
    this.guard = new OracleGuard({ macAddress: "7e:1a:00:00:00:01", ...options });
  }

  /** Says what the guard says about a frame from the VM. */
  out(frame: Uint8Array): string {
    return said(this.guard.egress(frame, this.time));
  }

  /** Says what the guard says about a frame to the VM. */
  in(frame: Uint8Array): string {
    return said(this.guard.ingress(frame, this.time));
  }

  lease(ack = ACK): this {
    assert.deepEqual(
      [this.out(DISCOVER), this.in(OFFER), this.out(REQUEST), this.in(ack)],
      ["pass", "pass", "pass", "pass"],
    );
    return this;
  }
}

function said(verdict: Verdict): string {
  return verdict.reason ?? verdict.verdict;
}

test("D29 the first packet after the ACK passes, none before it", () => {
  const talk = new Talk();
  assert.equal(talk.out(TO_WORLD), "ipv4.unbound");
  talk.lease();
  assert.equal(talk.out(TO_WORLD), "pass");
});

test("D7 a reply to another transaction teaches nothing", () => {
  const talk = new Talk();
  talk.out(DISCOVER);
  talk.in(OFFER);
  talk.out(REQUEST);
  assert.equal(talk.in(fromServer("05", "11223345")), "dhcp.transaction");
  assert.equal(talk.in(fromServer("05", "11223344", offered(), OTHER)), "dhcp.other-client");
  assert.equal(talk.out(TO_WORLD), "ipv4.unbound");
  talk.time += 60 * SECOND + 1;
  assert.equal(talk.in(ACK), "dhcp.transaction", "later than 60 s");
});

test("D20 an ACK after a DISCOVER alone teaches nothing", () => {
  const talk = new Talk();
  talk.out(DISCOVER);
  talk.in(OFFER);
  assert.equal(talk.in(ACK), "dhcp.transaction");
});

test("D1 a DISCOVER with another chaddr drops", () => {
  const frame = hex(
    `${ALL} ${VM} 0800 4500011000010000401179dd00000000ffffffff 0044004300fc0000`,
    `${bootp("01", "11223344", "00*4", "00*4", OTHER)} 350101 ff`,
  );
  assert.equal(new Talk().out(frame), "dhcp.hardware-address");
});

test("D14 two message types drop rather than one of them counting", () => {
  const frame = hex(
    `${ALL} ${VM} 0800 4500011300010000401179da00000000ffffffff 0044004300ff0000`,
    `${bootp("01", "11223344", "00*4", "00*4")} 350101 350103 ff`,
  );
  assert.equal(new Talk().out(frame), "dhcp.format");
});

test("D5 a RELEASE ends the binding at once", () => {
  const talk = new Talk().lease();
  assert.equal(talk.out(RELEASE), "pass");
  assert.equal(talk.out(TO_WORLD), "ipv4.unbound");
});

test("D5 an ACK that is still on its way after a RELEASE binds nothing", () => {
  const renewing = new Talk().lease();
  assert.deepEqual([renewing.out(RENEW), renewing.out(RELEASE)], ["pass", "pass"]);
  assert.equal(renewing.in(fromServer("05", "55667788")), "dhcp.transaction");
  assert.equal(renewing.out(TO_WORLD), "ipv4.unbound");

  const selecting = new Talk().lease();
  assert.deepEqual([selecting.out(REQUEST), selecting.out(RELEASE)], ["pass", "pass"]);
  assert.equal(selecting.in(ACK), "dhcp.transaction");
  assert.equal(selecting.out(TO_WORLD), "ipv4.unbound");
});

test("D9 D20 an INFORM with yiaddr set drops", () => {
  const talk = new Talk().lease();
  assert.equal(talk.out(inform("c0a84006")), "dhcp.client-address");
  assert.equal(talk.out(inform("00*4")), "pass");
});

test("D25 a server that calls itself 127.0.0.1 is none", () => {
  const talk = new Talk();
  talk.out(DISCOVER);
  assert.equal(talk.in(fromServer("02", "11223344", offered({ server: "7f000001" }))), "dhcp.server");
  assert.equal(talk.in(OFFER), "pass");
  talk.out(REQUEST);
  assert.equal(talk.in(fromServer("05", "11223344", offered({ server: "7f000001" }))), "dhcp.server");
});

test("D25 D26 a router at a metadata address or outside the subnet is no gateway", () => {
  const metadata = new Talk().lease(fromServer("05", "11223344", offered({ router: "a9fea9fe" })));
  assert.equal(metadata.out(udpTo("2626", "a9fea9fe")), "policy.metadata");
  assert.equal(metadata.out(TO_GATEWAY), "policy.destination", "no gateway at all");

  const outside = new Talk().lease(fromServer("05", "11223344", offered({ router: "0a000001" })));
  assert.equal(outside.out(udpTo("7022", "0a000001")), "policy.destination");

  const renewed = new Talk().lease();
  assert.equal(renewed.out(RENEW), "pass");
  assert.equal(renewed.in(fromServer("05", "55667788", offered({ router: "0a000001" }))), "pass");
  assert.equal(renewed.out(udpTo("7022", "0a000001")), "policy.destination");
  assert.equal(renewed.out(TO_GATEWAY), "pass", "the gateway stays");
});

test("D25 another server that confirms the address in REBINDING moves neither gateway nor DNS server", () => {
  const talk = new Talk().lease();
  assert.equal(talk.out(REBIND), "pass");
  const options = offered({ server: "c0a84003", router: "c0a84003", dns: "c0a84003" });
  assert.equal(talk.in(fromServer("05", "55667788", options)), "pass");
  assert.equal(talk.out(TO_GATEWAY), "pass");
  assert.equal(talk.out(udpTo("7977", "c0a84003")), "policy.destination");
  assert.equal(talk.out(udpTo("7978", "c0a84002", "0035")), "pass", "DNS to the server announced before");
});

test("D7 an ACK that was routed to another address binds nothing", () => {
  const talk = new Talk();
  talk.out(DISCOVER);
  talk.in(OFFER);
  talk.out(REQUEST);
  const routed = ACK.slice();
  routed.set([0x78, 0x66], 24); // the checksum for …
  routed.set([6], 33); // … 192.168.64.6
  assert.equal(talk.in(routed), "dhcp.addresses");
  assert.equal(talk.in(ACK), "pass");
});

test("D7 an ACK from far away to the VM's own address renews nothing", () => {
  const talk = new Talk().lease();
  assert.equal(talk.out(REBIND), "pass");
  const ack = fromServer("05", "55667788");
  const far = ack.slice();
  far.set([0x69, 0x01], 24); // the checksum for …
  far.set([8, 8, 8, 8], 26); // … 8.8.8.8
  assert.equal(talk.in(far), "dhcp.addresses");
  assert.equal(talk.in(ack), "pass");
});

test("D10 the VM is no server", () => {
  const talk = new Talk().lease();
  const frame = hex(`${ALL} ${VM} 0800 4500001c000100004011 7979 c0a84005 c0a84001 00430044 0008 0000`);
  assert.equal(talk.out(frame), "dhcp.ports");
});

test("D22 the binding ends with the lease, not before", () => {
  const talk = new Talk().lease();
  talk.time += 600 * SECOND - 1;
  assert.equal(talk.out(TO_WORLD), "pass");
  talk.time += 1;
  assert.equal(talk.out(TO_WORLD), "ipv4.unbound");
});

test("D27 a block of everything cuts traffic but no renewal", () => {
  const talk = new Talk({ block: ["0.0.0.0/0"] }).lease();
  assert.equal(talk.out(TO_GATEWAY), "policy.block");
  assert.equal(talk.out(RENEW), "pass");
  talk.time += SECOND;
  assert.equal(talk.in(fromServer("05", "55667788")), "pass");
  talk.time += 599 * SECOND + 999_999;
  assert.equal(talk.out(TO_WORLD), "policy.block", "still bound");
});

test("A1 the gateway's address from the VM drops, its own passes", () => {
  const talk = new Talk().lease();
  assert.equal(talk.out(arp(ALL, VM, "0002", "c0a84001", "c0a84005")), "arp.sender-address");
  assert.equal(talk.out(arp(ALL, VM, "0001", "c0a84005", "c0a84001")), "pass");
});

test("A5 a probe passes for the own address only, also just after it expired", () => {
  const talk = new Talk();
  assert.equal(talk.out(arp(ALL, VM, "0001", "00000000", "c0a84005")), "arp.probe");
  talk.lease();
  assert.equal(talk.out(arp(ALL, VM, "0001", "00000000", "c0a84005")), "pass");
  assert.equal(talk.out(arp(ALL, VM, "0001", "00000000", "c0a84006")), "arp.probe");
  talk.time += 660 * SECOND;
  assert.equal(talk.out(arp(ALL, VM, "0001", "00000000", "c0a84005")), "pass");
  talk.time += 1;
  assert.equal(talk.out(arp(ALL, VM, "0001", "00000000", "c0a84005")), "arp.probe");
});

test("A9 the gateway's first answer pins its MAC, another's claim drops", () => {
  const talk = new Talk().lease();
  assert.equal(talk.in(arp(VM, OTHER, "0002", "c0a84001", "c0a84005", VM)), "arp.gateway", "unasked");
  assert.equal(talk.out(arp(ALL, VM, "0001", "c0a84005", "c0a84001")), "pass");
  assert.equal(talk.in(arp(VM, GATEWAY, "0002", "c0a84001", "c0a84005", VM)), "pass");
  assert.equal(talk.in(arp(VM, OTHER, "0002", "c0a84001", "c0a84005", VM)), "arp.gateway");
});

test("A3 ARP with another protocol length drops", () => {
  const frame = hex(`${ALL} ${VM} 0806 0001 0800 06 05 0001 ${VM} 00*18`);
  assert.equal(new Talk().out(frame), "arp.format");
});

test("L1 L3 a priority tag and SNAP before ARP drop", () => {
  const body = "0001 0800 06 04 0001 00*20";
  assert.equal(new Talk().out(hex(`${ALL} ${VM} 8100 0000 0806 ${body}`)), "ethernet.type");
  assert.equal(new Talk().out(hex(`${ALL} ${VM} 0024 aaaa03000000 0806 ${body}`)), "ethernet.type");
});

test("I1 a fragment at offset 1 and a first fragment without its TCP header drop", () => {
  const talk = new Talk().lease();
  const second = hex(`${GATEWAY} ${VM} 0800 4500001c000100014011 7820 c0a84005 01010101 00*8`);
  const first = hex(`${GATEWAY} ${VM} 0800 4500001c000120004006 582c c0a84005 01010101 00*8`);
  assert.deepEqual([talk.out(second), talk.out(first)], ["ipv4.fragment", "ipv4.fragment"]);
});

test("I2 IPv4 options drop, IGMP by its own name", () => {
  const frame = hex(`01005e000016 ${VM} 0800 4600002000010000 0102 4413 c0a84005 e0000016 94040000 1600*4`);
  const talk = new Talk().lease();
  assert.equal(talk.out(frame), "ipv4.igmp");
  frame[23] = 6;
  assert.equal(talk.out(frame), "ipv4.options");
});

test("I6 I7 multicast, metadata, loopback and private neighbours are not global", () => {
  const talk = new Talk().lease();
  assert.equal(talk.out(udpTo("9927", "e00000fb")), "policy.multicast");
  assert.equal(talk.out(udpTo("2626", "a9fea9fe")), "policy.metadata");
  assert.equal(talk.out(udpTo("fb21", "7f000001")), "ipv4.loopback");
  assert.equal(talk.out(udpTo("7022", "0a000001")), "policy.destination");
  assert.equal(talk.out(udpTo("787b", "c0a840ff")), "policy.broadcast");
  assert.equal(talk.out(udpTo("7978", "c0a84002")), "policy.destination");
  assert.equal(talk.out(udpTo("7978", "c0a84002", "0035")), "pass", "DNS to the announced server");
});

test("I5 nothing but TCP, UDP and ICMP to the gateway", () => {
  const frame = hex(`${GATEWAY} ${VM} 0800 4500001c000100004029 7961 c0a84005 c0a84001 00*8`);
  assert.equal(new Talk().lease().out(frame), "policy.gateway");
  assert.equal(new Talk({ allow: ["@host"] }).lease().out(frame), "pass");
});

test("I15 an empty allow-list under a block of everything allows nothing", () => {
  const talk = new Talk({ allow: [], block: ["0.0.0.0/0"] }).lease();
  assert.equal(talk.out(TO_WORLD), "policy.block");
});

test("I16 an ICMP redirect drops", () => {
  const frame = hex(`${GATEWAY} ${VM} 0800 4500001c000100004001 7989 c0a84005 c0a84001 05 01 00*6`);
  assert.equal(new Talk().lease().out(frame), "icmp.router");
});

test("I6 the registry's edges and exceptions", () => {
  const reachable = ["192.0.0.9", "192.0.0.10", "192.31.196.1", "192.52.193.1", "192.175.48.1", "100.63.255.255"];
  const not = ["192.0.0.8", "192.0.0.11", "192.88.99.1", "100.64.0.0", "172.31.255.255", "198.19.255.255", "224.0.0.1"];
  assert.deepEqual(
    reachable.filter((text) => !isGloballyReachable(addressNumber(text))),
    [],
  );
  assert.deepEqual(
    not.filter((text) => isGloballyReachable(addressNumber(text))),
    [],
  );
});
