/** Where the VM may send: the default policy and rules (threat rows I4, I6–I11, I15). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard, UserError } from "../../src/index.ts";
import {
  ADDRESS,
  Bench,
  bytes,
  Client,
  DNS_SERVER,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  GLOBAL,
  ICMP,
  icmp,
  NEIGHBOUR,
  type PacketWords,
  packet,
  Server,
  type ServerWords,
  TCP,
  tcp,
  UDP,
  udp,
  VM,
} from "./support.ts";

/** A bench whose VM has its lease from the usual server. */
function bound(options = {}, words: ServerWords = {}): Bench {
  const bench = new Bench(options);
  bench.bind(ADDRESS, new Client(), new Server(words));
  return bench;
}

/** Everything that could be an exemption: any protocol, port 53, ICMP, fragments. */
const everyKind = (destination: string): Uint8Array[] => [
  tcp(443, { destination }),
  tcp(53, { destination }),
  udp(40_000, 53, { destination }),
  udp(40_000, 443, { destination }),
  icmp(8, { destination }),
  packet(47, bytes(0, 0, 8, 0), { destination }),
  packet(UDP, new Uint8Array(64), { destination, more: true }),
];

test("by default the VM reaches what is globally routable, its gateway, and its DNS server's port 53", () => {
  const bench = bound();
  bench.passesOut(tcp(443), udp(40_000, 443), icmp(8), udp(40_000, 53, { destination: "8.8.8.8" }));
  bench.passesOut(
    tcp(22, { destination: GATEWAY }),
    udp(1, 53, { destination: GATEWAY }),
    icmp(8, { destination: GATEWAY }),
  );
  bench.passesOut(udp(40_000, 53, { destination: DNS_SERVER }), tcp(53, { destination: DNS_SERVER }));
  bench.dropsOut("policy.destination", ...everyKind(NEIGHBOUR));
});

/** TCP flags (RFC 9293 3.1). */
const [SYN, ACK, RST, FIN] = [0x02, 0x10, 0x04, 0x01];

/** A TCP segment from a port, to the gateway unless `words` say otherwise. */
function segment(sourcePort: number, flags: number, words: PacketWords = {}): Uint8Array {
  const ports = [sourcePort >>> 8, sourcePort & 255, 0xc0, 0];
  const header = bytes(...ports, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0);
  return packet(TCP, header, { destination: GATEWAY, ...words });
}

for (const block of ["@host", "0.0.0.0/0", `${GATEWAY}/32`]) {
  test(`with --block ${block} exposed ports answer the gateway, and open no connection to it`, () => {
    const bench = bound({ block: [block], exposedPorts: [22, 8080] });
    bench.passesOut(segment(22, SYN | ACK), segment(22, ACK), segment(8080, FIN | ACK), segment(22, RST));
    bench.dropsOut("policy.block", segment(22, SYN), segment(22, SYN | FIN), segment(8080, SYN | 0xc0));
    bench.dropsOut("policy.block", segment(23, ACK), segment(80, SYN | ACK), udp(22, 1024, { destination: GATEWAY }));
    bench.dropsOut("policy.block", icmp(0, { destination: GATEWAY }), segment(22, ACK, { more: true }));
    bench.dropsOut("ipv4.fragment-unknown", segment(22, ACK, { offset: 3 }));
    const unexposed = bound({ block: [block] });
    unexposed.dropsOut("policy.block", segment(22, ACK), segment(22, SYN | ACK));
  });
}

test("an exposed port opens nothing but the way to the gateway", () => {
  const bench = bound({ block: ["@host", "8.8.8.8/32"], exposedPorts: [22] });
  bench.dropsOut("policy.block", segment(22, ACK, { destination: "8.8.8.8" }));
  bench.dropsOut("policy.destination", segment(22, ACK, { destination: NEIGHBOUR }));
  bench.dropsOut("ipv4.source", segment(22, ACK, { source: NEIGHBOUR }));
});

test("an exposed port that is none is refused", () => {
  for (const port of [0, -1, 65_536, 1.5, Number.NaN]) {
    assert.throws(() => createGuard({ macAddress: VM, exposedPorts: [port] }), UserError);
  }
});

/** Ranges that are not globally routable (IANA IPv4 special-purpose registry), first and last address. */
const SPECIAL = [
  ["10.0.0.0", "10.255.255.255"],
  ["100.64.0.0", "100.127.255.255"],
  ["169.254.0.0", "169.254.255.255"],
  ["172.16.0.0", "172.31.255.255"],
  ["192.0.0.0", "192.0.0.8"],
  ["192.0.0.11", "192.0.0.191"],
  ["192.0.0.193", "192.0.0.255"],
  ["192.0.2.0", "192.0.2.255"],
  ["192.88.99.0", "192.88.99.255"],
  ["192.168.0.0", "192.168.63.255"],
  ["192.168.65.0", "192.168.255.255"],
  ["198.18.0.0", "198.19.255.255"],
  ["198.51.100.0", "198.51.100.255"],
  ["203.0.113.0", "203.0.113.255"],
  ["240.0.0.0", "255.255.255.254"],
] as const;

/** What lies beside them, and what the registry calls globally reachable inside them. */
const ORDINARY = [
  ...["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"],
  ...["169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.0.9", "192.0.0.10"],
  ...["192.0.1.0", "192.0.1.255", "192.0.3.0", "192.31.196.1", "192.52.193.1", "192.88.98.255", "192.88.100.0"],
  ...[
    "192.167.255.255",
    "192.169.0.0",
    "192.175.48.1",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
  ],
  ...["203.0.112.255", "203.0.114.0", "223.255.255.255"],
];

test("I6 no special-purpose range passes by default, at both ends of each", () => {
  const bench = bound();
  for (const range of SPECIAL)
    for (const destination of range) bench.dropsOut("policy.destination", ...everyKind(destination));
});

test("I6 what lies beside the special-purpose ranges passes", () => {
  const bench = bound();
  for (const destination of ORDINARY) bench.passesOut(...everyKind(destination));
});

test("I6 multicast is not global", () => {
  const bench = bound();
  for (const destination of [
    "224.0.0.0",
    "224.0.0.1",
    "224.0.0.251",
    "232.1.1.1",
    "233.252.0.1",
    "239.255.255.250",
    "239.255.255.255",
  ]) {
    bench.dropsOut(
      "policy.multicast",
      ...everyKind(destination),
      udp(5353, 5353, { destination, to: "01:00:5e:00:00:fb" }),
    );
  }
});

test("I6 the limited and the directed broadcast addresses are not global", () => {
  const bench = bound();
  for (const destination of [EVERYONE, "192.168.64.255"]) {
    bench.dropsOut("policy.broadcast", ...everyKind(destination), udp(138, 138, { destination, to: EVERYONE_MAC }));
  }
});

test("I6 the directed broadcast address follows the netmask, where it has one, also in a global network", () => {
  for (const [netmask, own, broadcast, verdict] of [
    ["255.255.255.0", "8.8.4.5", "8.8.4.255", "policy.broadcast"],
    ["255.255.255.240", "8.8.4.5", "8.8.4.15", "policy.broadcast"],
    ["255.255.255.252", "8.8.4.5", "8.8.4.7", "policy.broadcast"],
    ["255.255.255.254", "8.8.4.5", "8.8.4.5", "pass"],
    ["255.255.255.255", "8.8.4.5", "8.8.4.5", "pass"],
    ["255.255.0.0", "8.8.4.5", "8.8.255.255", "policy.broadcast"],
    ["255.255.0.0", "8.8.4.5", "8.8.4.255", "pass"],
    [undefined, "8.8.4.5", "8.8.4.255", "pass"],
  ] as const) {
    const bench = new Bench();
    bench.bind(own, new Client(), new Server({ netmask, router: undefined }));
    assert.equal(bench.out(udp(138, 138, { source: own, destination: broadcast })), verdict, `${netmask}`);
  }
});

test("I6 the network's own subnet gives the directed broadcast address while the binding has no netmask", () => {
  const bench = new Bench({ address: "8.8.4.5", subnet: "8.8.4.0/28" });
  bench.dropsOut("policy.broadcast", udp(138, 138, { source: "8.8.4.5", destination: "8.8.4.15" }));
  bench.passesOut(udp(138, 138, { source: "8.8.4.5", destination: "8.8.4.255" }));
});

/* Metadata */

const METADATA = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"];

test("I7 metadata addresses drop by default, also the globally routable one, and their neighbours do not", () => {
  const bench = bound();
  for (const destination of METADATA) bench.dropsOut("policy.metadata", ...everyKind(destination));
  bench.passesOut(...everyKind("168.63.129.15"), ...everyKind("168.63.129.17"));
});

test("I7 a CIDR of the user's that covers one opens it, @host does not", () => {
  for (const allow of [["169.254.169.254/32"], ["169.254.0.0/16"], ["0.0.0.0/0"]]) {
    bound({ allow }).passesOut(...everyKind("169.254.169.254"));
  }
  bound({ allow: ["@host"] }).dropsOut("policy.metadata", ...everyKind("169.254.169.254"));
});

test("I7 a metadata address that DHCP announces as DNS server answers on port 53 and on nothing else", () => {
  for (const destination of METADATA) {
    const bench = bound({}, { dns: [destination] });
    bench.passesOut(udp(40_000, 53, { destination }), tcp(53, { destination }));
    bench.dropsOut(
      "policy.metadata",
      tcp(80, { destination }),
      icmp(8, { destination }),
      packet(47, bytes(0, 0), { destination }),
    );
  }
});

test("I7 a metadata address that DHCP announces as router is no gateway", () => {
  for (const router of METADATA) {
    bound({}, { router, netmask: "255.255.255.255" }).dropsOut("policy.metadata", ...everyKind(router));
  }
});

/* DNS servers */

test("DNS passes to the announced servers only, on port 53, over UDP and TCP, unfragmented", () => {
  const bench = bound({}, { dns: ["10.9.9.9", "10.9.9.10"] });
  const inside = { destination: "10.9.9.9" };
  bench.passesOut(udp(40_000, 53, inside), tcp(53, inside), udp(40_000, 53, { destination: "10.9.9.10" }));
  bench.dropsOut("policy.destination", udp(53, 54, inside), udp(53, 52, inside), tcp(853, inside), icmp(8, inside));
  bench.dropsOut(
    "policy.destination",
    udp(40_000, 53, { destination: "10.9.9.8" }),
    udp(40_000, 53, { destination: "10.9.9.11" }),
  );
  bench.dropsOut("policy.destination", packet(132, bytes(156, 64, 0, 53, 0, 0, 0, 0), inside));
});

test("I1 DNS in fragments to a private server drops, every fragment, and passes to a global one", () => {
  const bench = bound({}, { dns: ["10.9.9.9", "8.8.8.8"] });
  const pieces = (destination: string): Uint8Array[] => {
    const words: PacketWords = { destination };
    return [
      packet(UDP, bytes(156, 64, 0, 53, 0, 64, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), { ...words, more: true }),
      packet(UDP, new Uint8Array(40), { ...words, offset: 2 }),
      packet(TCP, bytes(156, 64, 0, 53, ...new Uint8Array(20)), { ...words, more: true }),
      packet(TCP, new Uint8Array(40), { ...words, offset: 3 }),
    ];
  };
  const [udpFirst, udpLater, tcpFirst, tcpLater] = pieces("10.9.9.9");
  bench.dropsOut("ipv4.fragment", udpFirst!, tcpFirst!);
  bench.dropsOut("ipv4.fragment-unknown", udpLater!, tcpLater!);
  bench.passesOut(...pieces("8.8.8.8"));
  bench.dropsOut("policy.destination", packet(ICMP, new Uint8Array(40), { destination: "10.9.9.9", more: true }));
});

test("eight DNS servers are remembered, a ninth is not", () => {
  const dns = Array.from({ length: 9 }, (_, index) => `10.9.9.${index + 1}`);
  const bench = bound({}, { dns });
  for (const destination of dns.slice(0, 8)) bench.passesOut(udp(40_000, 53, { destination }));
  bench.dropsOut("policy.destination", udp(40_000, 53, { destination: "10.9.9.9" }));
});

test("DNS servers and gateway end with the binding and change with it", () => {
  const bench = bound();
  const client = new Client({ xid: 2 });
  bench.passesOut(client.renew(ADDRESS, GATEWAY));
  bench.passesIn(new Server({ dns: ["10.9.9.9"], router: "192.168.64.254" }).ack(client, ADDRESS));
  bench.passesOut(udp(40_000, 53, { destination: "10.9.9.9" }), tcp(22, { destination: "192.168.64.254" }));
  bench.dropsOut("policy.destination", udp(40_000, 53, { destination: DNS_SERVER }), tcp(22, { destination: GATEWAY }));
});

test("an announced DNS server that a rule blocks or allows is judged by the rule", () => {
  bound({ block: [`${DNS_SERVER}/32`] }).dropsOut("policy.block", udp(40_000, 53, { destination: DNS_SERVER }));
  bound({ allow: ["192.168.64.0/24"] }).passesOut(...everyKind(DNS_SERVER));
});

/* The gateway */

test("I8 the gateway is open by default and closed by --block @host, for every protocol", () => {
  bound().passesOut(
    tcp(80, { destination: GATEWAY }),
    udp(1, 2, { destination: GATEWAY }),
    icmp(8, { destination: GATEWAY }),
  );
  bound({ block: ["@host"] }).dropsOut("policy.block", ...everyKind(GATEWAY));
  bound({ block: [`${GATEWAY}/32`] }).dropsOut("policy.block", ...everyKind(GATEWAY));
  bound({ allow: ["@host"], block: ["@host"] }).dropsOut("policy.block", ...everyKind(GATEWAY));
  bound({ allow: ["@host"] }).passesOut(...everyKind(GATEWAY));
});

test("I8 a gateway that is the DNS server too stays closed on port 53 when blocked", () => {
  bound({ block: ["@host"] }, { dns: [GATEWAY] }).dropsOut("policy.block", ...everyKind(GATEWAY));
});

test("@host is the gateway as DHCP tells it, and nothing while there is none", () => {
  const bench = new Bench({ address: ADDRESS, allow: ["@host"] });
  bench.dropsOut("policy.destination", ...everyKind(GATEWAY));
  const client = new Client();
  bench.passesOut(client.reboot(ADDRESS));
  bench.passesIn(new Server().ack(client, ADDRESS));
  bench.passesOut(...everyKind(GATEWAY));
});

test("@host is the configured gateway, where DHCP names none", () => {
  const bench = bound({ gateway: "192.168.64.254", allow: ["@host"] }, { router: undefined });
  bench.passesOut(...everyKind("192.168.64.254"));
  bench.dropsOut("policy.destination", ...everyKind(GATEWAY));
});

test("I9 a neighbour is not reached by opening a connection, only its answers come in", () => {
  const bench = bound();
  bench.dropsOut("policy.destination", tcp(80, { destination: NEIGHBOUR }), tcp(443, { destination: "10.0.0.1" }));
  bench.passesIn(tcp(80, { source: NEIGHBOUR, destination: ADDRESS, from: GATEWAY_MAC, to: VM }));
});

/* Rules */

test("the longest prefix decides, block on a tie", () => {
  const bench = bound({
    allow: ["10.0.0.0/8", "10.1.2.0/24", "172.16.0.0/12", "192.168.64.9/32"],
    block: ["10.1.0.0/16", "172.16.0.0/12", "10.1.2.3/32", "8.8.8.0/24"],
  });
  bench.passesOut(
    ...everyKind("10.0.0.1"),
    ...everyKind("10.1.2.4"),
    ...everyKind("10.255.255.255"),
    ...everyKind(NEIGHBOUR),
  );
  bench.dropsOut(
    "policy.block",
    ...everyKind("10.1.0.0"),
    ...everyKind("10.1.255.255"),
    ...everyKind("10.1.2.3"),
    ...everyKind("8.8.8.8"),
  );
  bench.dropsOut("policy.block", ...everyKind("172.16.0.0"), ...everyKind("172.31.255.255"));
  bench.passesOut(tcp(443, { destination: "8.8.9.0" }));
  bench.dropsOut("policy.destination", ...everyKind("192.168.64.10"));
});

test("0.0.0.0/0 in --allow opens every destination but loopback; a longer block still holds", () => {
  const bench = bound({ allow: ["0.0.0.0/0"], block: ["10.0.0.0/8", "@host"] });
  for (const destination of [NEIGHBOUR, ...METADATA, EVERYONE, "192.168.64.255", "224.0.0.251", "240.0.0.1", GLOBAL]) {
    bench.passesOut(...everyKind(destination));
  }
  bench.dropsOut("policy.block", ...everyKind("10.9.9.9"), ...everyKind(GATEWAY));
  bench.dropsOut("ipv4.loopback", ...everyKind("127.0.0.1"));
});

test("0.0.0.0/0 in both lists is blocked, and a longer allow opens a part", () => {
  const bench = bound({ allow: ["0.0.0.0/0", "1.1.1.0/24"], block: ["0.0.0.0/0"] });
  bench.dropsOut("policy.block", ...everyKind("8.8.8.8"), ...everyKind(GATEWAY), ...everyKind(DNS_SERVER));
  bench.passesOut(...everyKind(GLOBAL));
});

test("a rule opens broadcast and multicast as it says", () => {
  const bench = bound({ allow: ["224.0.0.251/32", "192.168.64.255/32"] });
  bench.passesOut(udp(5353, 5353, { destination: "224.0.0.251" }), udp(138, 138, { destination: "192.168.64.255" }));
  bench.dropsOut("policy.multicast", udp(5353, 5353, { destination: "224.0.0.252" }));
  bench.dropsOut("policy.broadcast", udp(138, 138, { destination: EVERYONE }));
});

test("host bits of a rule are ignored, and the same rule twice is one", () => {
  const bench = bound({ allow: ["10.1.2.3/8", "10.0.0.0/8", "10.9.9.9/8"] });
  bench.passesOut(...everyKind("10.200.0.1"));
  bench.dropsOut("policy.destination", ...everyKind("172.16.0.1"));
});

test("I10 one bad rule refuses the whole set, with an error that names it", () => {
  for (const rule of [
    "10.0.0.0/33",
    "10.0.0/8",
    "10.0.0.256/8",
    "host",
    "@gateway",
    "",
    " 10.0.0.0/8",
    "10.0.0.0/-1",
    "10.0.0.0/8.",
    "::/0",
    "010.0.0.0/8",
  ]) {
    for (const list of ["allow", "block"] as const) {
      const options = { macAddress: VM, [list]: ["192.168.0.0/16", rule, "172.16.0.0/12"] };
      assert.throws(
        () => createGuard(options),
        (error) => error instanceof UserError && error.message.includes(rule) && !error.message.includes("\n"),
        `${list} ${rule}`,
      );
    }
  }
});

test("I11 there is no exempt kind of traffic: with everything blocked only ARP and DHCP pass", () => {
  const bench = bound({ block: ["0.0.0.0/0"] });
  for (const destination of [GLOBAL, GATEWAY, DNS_SERVER, NEIGHBOUR, EVERYONE, "224.0.0.1", ...METADATA]) {
    bench.dropsOut("policy.block", ...everyKind(destination));
    const toMany = destination === EVERYONE || destination === "224.0.0.1";
    const verdict = toMany ? "policy.block" : "ipv4.group-frame";
    bench.dropsOut(verdict, ...everyKind(destination).map((frame) => frame.with(0, 0xff)));
  }
  bench.passesOut(new Client({ xid: 2 }).renew(ADDRESS, GATEWAY));
});

test("I15 an empty allow list opens nothing: private destinations stay closed, and block-all stays block-all", () => {
  for (const allow of [undefined, []]) {
    const lists = allow === undefined ? {} : { allow };
    bound(lists).dropsOut("policy.destination", ...everyKind(NEIGHBOUR), ...everyKind("10.0.0.1"));
    bound({ ...lists, block: ["0.0.0.0/0"] }).dropsOut("policy.block", ...everyKind(GLOBAL), ...everyKind(GATEWAY));
    bound({ ...lists, block: [] }).dropsOut("policy.destination", ...everyKind(NEIGHBOUR));
  }
});

test("I4 rules without ports hold for any protocol, and one for the gateway opens it for any protocol", () => {
  const bench = bound({ allow: ["10.0.0.0/8", "@host"] });
  for (let protocol = 0; protocol < 256; protocol++) {
    const payload = bytes(8, ...new Uint8Array(19));
    bench.passesOut(
      packet(protocol, payload, { destination: "10.2.3.4" }),
      packet(protocol, payload, { destination: GATEWAY }),
    );
  }
});

test("options that cannot be are refused in one line that names the value", () => {
  for (const [options, value] of [
    [{ macAddress: "7e:1a:00:00:00" }, "7e:1a:00:00:00"],
    [{ macAddress: "01:00:5e:00:00:01" }, "01:00:5e:00:00:01"],
    [{ macAddress: "00:00:00:00:00:00" }, "00:00:00:00:00:00"],
    [{ macAddress: VM, address: "192.168.64" }, "192.168.64"],
    [{ macAddress: VM, gateway: "192.168.64.1/24" }, "192.168.64.1/24"],
    [{ macAddress: VM, gatewayMacAddress: "gateway" }, "gateway"],
    [{ macAddress: VM, dhcpServer: "1.2.3.4.5" }, "1.2.3.4.5"],
    [{ macAddress: VM, subnet: "192.168.64.0" }, "192.168.64.0"],
    [{ macAddress: VM, mtu: 67 }, "67"],
    [{ macAddress: VM, mtu: 65_522 }, "65522"],
    [{ macAddress: VM, mtu: 1500.5 }, "1500.5"],
    [{ macAddress: VM, mtu: Number.NaN }, "NaN"],
  ] as const) {
    assert.throws(
      () => createGuard(options),
      (error) => error instanceof UserError && error.message.includes(value) && !error.message.includes("\n"),
      value,
    );
  }
});

test("an address that no host can have is refused as the VM's, the gateway's and the DHCP server's", () => {
  for (const address of ["0.0.0.0", "0.0.0.1", "127.0.0.1", "224.0.0.1", "240.0.0.1", EVERYONE]) {
    for (const option of ["address", "gateway", "dhcpServer"]) {
      assert.throws(() => createGuard({ macAddress: VM, [option]: address }), UserError, `${option} ${address}`);
    }
  }
});
