/** The second guard's IPv6 half on its own: vectors of RFCs, literal bytes, and each bound of time by its microsecond. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GuardOptions, Verdict } from "../../src/guard/types.ts";
import { addressText, be16, be32, join } from "./build.ts";
import { addressNumber } from "./bytes.ts";
import { OracleGuard } from "./guard.ts";
import * as build from "./ipv6/build.ts";
import {
  address6,
  addressBytes,
  addressText6,
  inPrefix,
  multicastMac,
  parseAddress,
  prefix6,
  solicitedNode,
} from "./ipv6/bytes.ts";
import { embeddedIn, isGlobal6 } from "./ipv6/registry.ts";

const VM = "7e:1a:00:00:00:01";
const ROUTER = "02:00:00:00:00:01";
const OTHER = "52:54:00:00:00:02";
const SECOND = 1_000_000;
const LINK_LOCAL = address6("fe80::7c1a:ff:fe00:1");
const PREFIX = address6("2600:1:2:3::");
const FAR = address6("2606:4700::1111");
const ROUTER_ADDRESS = address6("fe80::1");
const ALL_NODES = address6("ff02::1");

const said = (verdict: Verdict): string => verdict.reason ?? verdict.verdict;
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));

class Talk {
  readonly guard: OracleGuard;
  time = 1_000 * SECOND;

  constructor(options: Partial<GuardOptions> = {}) {
    this.guard = new OracleGuard({ macAddress: VM, ipv6: true, ...options });
  }

  out(source: bigint, destination: bigint, more: Partial<build.Fields6>): string {
    return said(this.guard.egress(frame(source, destination, { ethernetSource: VM, ...more }), this.time));
  }

  in(source: bigint, destination: bigint, more: Partial<build.Fields6>): string {
    const to = multicast(destination) ?? VM;
    const fields = { ethernetSource: ROUTER, ethernetDestination: to, ...more };
    return said(this.guard.ingress(frame(source, destination, fields), this.time));
  }

  icmp(way: "in" | "out", source: bigint, destination: bigint, type: number, body: Uint8Array, more = {}): string {
    const payload = build.icmp6(source, destination, type, body);
    return this[way](source, destination, { protocol: 58, hopLimit: 255, payload, ...more });
  }

  detect(target: bigint, more = {}): string {
    return this.icmp("out", 0n, solicitedNode(target), 135, join(be32(0), addressBytes(target)), more);
  }

  udp(source: bigint, destination = FAR): string {
    return this.out(source, destination, { protocol: 17, payload: build.udp6(source, destination, [5000, 443], [1]) });
  }

  advertise(lifetime: number, options: readonly Uint8Array[] = [prefix], from = ROUTER_ADDRESS, mac = ROUTER): string {
    const body = build.advertisement(lifetime, ...options);
    return this.icmp("in", from, ALL_NODES, 134, body, { ethernetSource: mac });
  }

  claim(target: bigint): string {
    const body = join([0x20, 0, 0, 0], addressBytes(target));
    return this.icmp("in", target, ALL_NODES, 136, body, { ethernetSource: OTHER });
  }

  /** What softnet asks now. */
  questions(): string[] {
    const all: string[] = [];
    for (;;) {
      const question = this.guard.takeQuestion();
      if (question === undefined) return all;
      all.push(Buffer.from(question).toString("hex"));
    }
  }

  /** With a valid link-local address and a router's prefix. */
  join(): this {
    assert.deepEqual([this.detect(LINK_LOCAL), this.advertise(1800)], ["pass", "pass"]);
    this.time += SECOND / 2;
    return this;
  }
}

const multicast = (address: bigint) => (address >> 120n === 0xffn ? multicastMac(address) : undefined);
const prefix = build.prefixOption(PREFIX, 64, 0xc0, 3600);

function frame(source: bigint, destination: bigint, more: Partial<build.Fields6>): Uint8Array {
  return build.frame6({
    ethernetDestination: multicast(destination) ?? ROUTER,
    ethernetSource: VM,
    version: 6,
    lengthError: 0,
    hopLimit: 64,
    source,
    destination,
    headers: [],
    protocol: 59,
    payload: [],
    padding: 0,
    ...more,
  });
}

test("addresses are read as RFC 4291 2.2 writes them", () => {
  assert.equal(parseAddress("2001:DB8:0:0:8:800:200C:417A"), parseAddress("2001:db8::8:800:200c:417a"));
  assert.equal(parseAddress("::ffff:129.144.52.38"), 0xffff8190_3426n);
  assert.equal(parseAddress("::"), 0n);
  for (const text of [
    "",
    ":",
    "1:2:3",
    "1::2::3",
    "12345::",
    "::1.2.3",
    "::1.2.3.256",
    "1:2:3:4:5:6:7:8::",
    "fe80::1%eth0",
  ]) {
    assert.equal(parseAddress(text), undefined, text);
  }
});

test("solicited-node address and Ethernet address are those of RFC 4291 2.7.1 and RFC 2464 7", () => {
  assert.equal(solicitedNode(address6("4037::01:800:200e:8c6c")), address6("ff02::1:ff0e:8c6c"));
  assert.equal(multicastMac(address6("ff02::1:ff0e:8c6c")), "33:33:ff:0e:8c:6c");
});

test("S9 embedded IPv4 addresses are those of RFC 6052 2.4, RFC 4380 and RFC 3056", () => {
  const translated = [
    ["2001:db8::/32", "2001:db8:c000:221::"],
    ["2001:db8:100::/40", "2001:db8:1c0:2:21::"],
    ["2001:db8:122::/48", "2001:db8:122:c000:2:2100::"],
    ["2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"],
    ["2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"],
    ["2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"],
  ] as const;
  for (const [network, text] of translated) {
    assert.equal(addressText(embeddedIn(address6(text), [prefix6(network)])!), "192.0.2.33", network);
  }
  assert.equal(embeddedIn(address6("2001:0:4136:e378:8000:63bf:3fff:fdd2"), []), addressNumber("192.0.2.45"));
  assert.equal(embeddedIn(address6("2002:c000:204::1"), []), addressNumber("192.0.2.4"));
  assert.equal(embeddedIn(address6("64:ff9b::10.0.0.1"), []), addressNumber("10.0.0.1"));
  assert.equal(embeddedIn(address6("::10.0.0.1"), []), addressNumber("10.0.0.1"));
  assert.deepEqual([embeddedIn(0n, []), embeddedIn(1n, []), embeddedIn(FAR, [])], [undefined, undefined, undefined]);
});

test("the registry's edges and exceptions", () => {
  const open = [
    "2000::",
    "2001:1::1",
    "2001:1::3",
    "2001:3::1",
    "2001:4:112::1",
    "2001:20::1",
    "2001:200::",
    "2620:4f:8000::",
    "3ffe::1",
    "64:ff9b::1",
  ];
  const closed = [
    "1fff::1",
    "2001::1",
    "2001:1::4",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002::1",
    "3fff::1",
    "4000::",
    "64:ff9b:1::1",
    "fc00::1",
    "fe80::1",
  ];
  assert.deepEqual(
    open.filter((text) => !isGlobal6(address6(text))),
    [],
  );
  assert.deepEqual(
    closed.filter((text) => isGlobal6(address6(text))),
    [],
  );
});

test("the literal bytes of a duplicate address detection pass, and one bit of its checksum does not", () => {
  const bytes =
    hex(`3333ff000001 7e1a00000001 86dd 60000000 0018 3a ff ${"00".repeat(16)} ff0200000000000000000001ff000001
    8700 ${"0000"} 00000000 fe800000000000007c1a00fffe000001`);
  // The sum by hand: pseudo-header ff02+1+ff00+1+18+3a, message 8700+fe80+7c1a+ff+fe00+1.
  let sum = 0xff02 + 1 + 0xff00 + 1 + 0x18 + 0x3a + 0x8700 + 0xfe80 + 0x7c1a + 0xff + 0xfe00 + 1;
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  bytes.set(be16(0xffff - sum), 56);
  const talk = new Talk();
  const wrong = bytes.slice();
  wrong[57]! ^= 1;
  assert.equal(said(talk.guard.egress(wrong, 0)), "nd.checksum");
  assert.equal(said(talk.guard.egress(bytes, 0)), "pass");
  assert.equal(said(talk.guard.egress(bytes, 499_999)), "pass");
  assert.equal(talk.guard.addresses6, "");
  talk.guard.egress(new Uint8Array(0), 500_000);
  assert.match(talk.guard.addresses6, /^\[fe800000000000007c1a00fffe000001 slaac ]$/);
});

test("an address is tentative for 500 ms, and sends nothing meanwhile", () => {
  const talk = new Talk();
  assert.equal(talk.udp(LINK_LOCAL), "ipv6.unbound");
  talk.detect(LINK_LOCAL);
  talk.time += 499_999;
  assert.equal(talk.udp(LINK_LOCAL), "ipv6.tentative");
  talk.time += 1;
  assert.equal(talk.udp(LINK_LOCAL), "pass");
  assert.equal(talk.udp(PREFIX + 5n), "ipv6.source");
});

test("an idle address ends after 300 s, the last link-local one does not", () => {
  const talk = new Talk().join();
  talk.detect(PREFIX + 5n);
  talk.time += SECOND / 2;
  assert.equal(talk.udp(PREFIX + 5n), "pass");
  talk.time += 300 * SECOND - 1;
  assert.equal(talk.udp(PREFIX + 5n), "pass");
  talk.time += 300 * SECOND;
  assert.equal(talk.udp(PREFIX + 5n), "ipv6.source");
  assert.equal(talk.udp(LINK_LOCAL), "pass");
});

test("with questions an idle address is probed three times and ends after 303 s", () => {
  const talk = new Talk({ ask: true, prefix6: `${addressText6(PREFIX)}/64` });
  const target = PREFIX + 5n;
  talk.detect(target);
  talk.time += SECOND / 2 + 300 * SECOND;
  talk.guard.egress(new Uint8Array(0), talk.time - 1);
  assert.deepEqual(talk.questions(), []);
  for (let second = 0; second < 3; second++) {
    talk.guard.egress(new Uint8Array(0), talk.time + second * SECOND);
    const [probe, ...more] = talk.questions();
    assert.equal(more.length, 0);
    assert.ok(probe!.startsWith("3333ff00000502000000000086dd6000000000183aff00000000"), probe);
    assert.ok(probe!.endsWith("00000000260000010002000300000000000000 05".replace(" ", "")), probe);
  }
  talk.time += 3 * SECOND - 1;
  const body = join([0x60, 0, 0, 0], addressBytes(target));
  const defends = () => talk.icmp("out", target, ALL_NODES, 136, join([0x20, 0, 0, 0], body.slice(4)));
  assert.equal(defends(), "pass");
  talk.time += 302 * SECOND + 999_999;
  assert.equal(talk.udp(target), "pass");
  talk.time += 303 * SECOND;
  assert.equal(talk.udp(target), "ipv6.unbound");
});

test("a conflict within 3 s of the VM's own detection ends a tentative address and keeps a valid one", () => {
  const talk = new Talk().join();
  const target = PREFIX + 5n;
  assert.equal(talk.claim(LINK_LOCAL), "pass", "0.5 s after its detection");
  assert.equal(talk.udp(LINK_LOCAL), "pass", "a valid address stays");
  talk.detect(target);
  assert.equal(talk.claim(target), "pass");
  assert.equal(talk.udp(target), "ipv6.source");
  talk.time += 2.5 * SECOND;
  assert.equal(talk.claim(LINK_LOCAL), "pass", "3 s");
  talk.time += 1;
  assert.equal(talk.claim(LINK_LOCAL), "nd.conflict");
});

test("S1 S2 the first router stays, and nobody takes its place for 60 s after its end", () => {
  const talk = new Talk().join();
  assert.equal(talk.advertise(1800, [prefix], address6("fe80::bad"), OTHER), "nd.router");
  assert.equal(talk.advertise(1800, [prefix], ROUTER_ADDRESS, OTHER), "nd.router");
  assert.equal(talk.advertise(0, []), "pass");
  talk.time += 60 * SECOND - 1;
  assert.equal(talk.advertise(1800, [prefix], address6("fe80::bad"), OTHER), "nd.router");
  talk.time += 1;
  assert.equal(talk.advertise(1800, [prefix], address6("fe80::bad"), OTHER), "pass");
  const body = build.advertisement(1800, prefix);
  for (const headers of [[], [build.optionsHeader(60, [])], [build.fragmentHeader(0, true, 1)]]) {
    assert.equal(talk.icmp("out", LINK_LOCAL, ALL_NODES, 134, body, { headers }), "icmpv6.router");
  }
});

test("an address that softnet does not know is asked for, and is the VM's where nobody says otherwise", () => {
  const talk = new Talk({ ask: true }).join();
  talk.questions();
  const target = PREFIX + 0x123456n;
  assert.equal(talk.udp(target), "ipv6.source");
  const [question] = talk.questions();
  assert.ok(question!.startsWith("3333ff1234567e1a0000000186dd6000000000183aff"), question);
  talk.time += SECOND / 2;
  assert.equal(talk.udp(target), "pass");
  const other = PREFIX + 7n;
  assert.equal(talk.udp(other), "ipv6.source");
  assert.equal(talk.claim(other), "nd.conflict");
  talk.time += SECOND / 2;
  assert.equal(talk.udp(other), "ipv6.source");
});

test("S10 a policy that closes all of IPv4 and says nothing of IPv6 closes that, too", () => {
  assert.equal(new Talk({ block: ["0.0.0.0/0"] }).join().udp(LINK_LOCAL), "policy.block");
  assert.equal(new Talk({ block: ["0.0.0.0/0"], allow: ["2606:4700::/32"] }).join().udp(LINK_LOCAL), "pass");
  assert.equal(new Talk({ block: ["out 0.0.0.0/0"] }).join().udp(LINK_LOCAL), "policy.block");
  assert.equal(new Talk({ block: ["0.0.0.0/0:443"] }).join().udp(LINK_LOCAL), "pass");
});

test("S9 an embedded address needs both families' rules", () => {
  const talk = (options: Partial<GuardOptions>, to: string) => new Talk(options).join().udp(LINK_LOCAL, address6(to));
  assert.equal(talk({}, "64:ff9b::1.1.1.1"), "pass");
  assert.equal(talk({}, "64:ff9b::10.0.0.1"), "policy.destination");
  assert.equal(talk({}, "64:ff9b::169.254.169.254"), "policy.metadata");
  assert.equal(talk({ allow: ["10.0.0.0/8"] }, "64:ff9b::10.0.0.1"), "pass");
  assert.equal(talk({ allow: ["::/0"] }, "64:ff9b::10.0.0.1"), "policy.destination");
  assert.equal(talk({ allow: ["::/0", "0.0.0.0/0"] }, "64:ff9b::127.0.0.1"), "ipv4.loopback");
  assert.equal(talk({}, "2002:101:101::1"), "policy.destination");
  assert.equal(talk({ allow: ["2002::/16"] }, "2002:101:101::1"), "pass");
});

test("neighbours on the link, metadata, the router and its DNS servers", () => {
  const talk = new Talk().join();
  assert.equal(talk.udp(LINK_LOCAL, PREFIX + 9n), "policy.on-link");
  assert.equal(talk.udp(LINK_LOCAL, address6("fd00:ec2::254")), "policy.metadata");
  assert.equal(talk.udp(LINK_LOCAL, ROUTER_ADDRESS), "pass");
  assert.equal(talk.udp(LINK_LOCAL, address6("fe80::2")), "policy.destination");
  const dns = PREFIX + 0x53n;
  assert.equal(talk.advertise(1800, [build.dnsOption([dns], 10)]), "pass");
  const ask = () => talk.out(LINK_LOCAL, dns, { protocol: 17, payload: build.udp6(LINK_LOCAL, dns, [5000, 53], []) });
  talk.time += 10 * SECOND - 1;
  assert.equal(ask(), "pass");
  talk.time += 1;
  assert.equal(ask(), "policy.on-link");
});

test("prefixes hold what is in them", () => {
  for (let length = 0; length <= 128; length++) {
    const network = { prefix: FAR, length };
    const last = length === 0 ? 0n : 1n << BigInt(128 - length);
    assert.ok(inPrefix(network, FAR), `${length}`);
    if (length > 0) assert.ok(!inPrefix(network, FAR ^ last), `${length}`);
  }
});
