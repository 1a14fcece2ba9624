/** The router, and what it teaches (docs/guard-ipv6.md, The router). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { arp, arpReply, bytes, join, word } from "../support.ts";
import {
  ALL_ROUTERS,
  address6,
  Bench6,
  dnsOption,
  GLOBAL6,
  LINK,
  nsDad,
  OTHER,
  OTHER_LINK,
  OTHER_MAC,
  OWN,
  PREFIX,
  prefixOption,
  ROUTER,
  ROUTER_MAC,
  ra,
  SECOND,
  short,
  tcp6,
  udp6,
} from "./support.ts";

const THIRD_MAC = "02:00:00:00:00:77";
const routerOf = (bench: Bench6): bigint => {
  bench.guard.advance(bench.now);
  return bench.guard.router6;
};
const online = (): Bench6 => {
  const bench = new Bench6();
  bench.detect(LINK);
  return bench;
};
const other = (words = {}): Uint8Array => ra({ source: OTHER_LINK, from: OTHER_MAC, ...words });

test("S1 an advertisement comes from a link-local address to all nodes or the VM, with its sender's MAC in it", () => {
  const bench = online();
  bench.dropsIn("nd.source", ra({ source: OTHER }), ra({ source: "fe80:1::1" }), ra({ source: "::" }));
  bench.dropsIn(
    "nd.destination",
    ra({ destination: ALL_ROUTERS }),
    ra({ destination: OTHER_LINK, to: "7e:1a:00:00:00:01" }),
  );
  bench.dropsIn("nd.link-layer", ra({ link: OTHER_MAC }));
  bench.passesIn(ra({ destination: LINK, to: "7e:1a:00:00:00:01" }));
});

test("S1 the first router stays: another's advertisement drops, from its MAC or its address too", () => {
  const bench = online();
  assert.equal(routerOf(bench), 0n);
  bench.passesIn(ra());
  assert.equal(routerOf(bench), parseIPv6(ROUTER));
  bench.dropsIn("nd.router", other(), ra({ from: OTHER_MAC }), ra({ source: OTHER_LINK }));
  bench.dropsIn("nd.router", other({ lifetime: 0 }), ra({ from: OTHER_MAC, lifetime: 0 }));
  bench.passesIn(ra());
});

test("S1 the router ends with its lifetime, exactly, and then another may be it", () => {
  const bench = online();
  bench.passesIn(ra({ lifetime: 1800 }));
  bench.wait(1800 * SECOND - 1);
  bench.dropsIn("nd.router", other());
  bench.wait(1);
  assert.equal(routerOf(bench), 0n);
  bench.dropsOut("nd.target", nsDad(OWN));
  bench.passesIn(other());
  bench.passesOut(nsDad(OWN));
});

test("S1 a router that says it ends is the router for 60 s yet: nobody takes its place while it starts again", () => {
  const bench = online();
  bench.passesIn(ra(), ra({ lifetime: 0 }));
  bench.wait(60 * SECOND - 1);
  bench.dropsIn("nd.router", other());
  bench.wait(1);
  bench.passesIn(other());
});

/** A bench whose VM is bound by IPv4, and knows its gateway's MAC, which is ROUTER_MAC. */
function withGateway(): Bench6 {
  const bench = new Bench6();
  bench.bind();
  bench.passesOut(arp());
  bench.passesIn(arpReply("192.168.64.1", ROUTER_MAC));
  bench.detect(LINK);
  return bench;
}

test("S1 the IPv4 gateway takes the place of a router that was found first; what that one taught is forgotten", () => {
  const bench = withGateway();
  bench.passesIn(other({ options: prefixOption("2001:db8:2::") }));
  bench.passesOut(nsDad("2001:db8:2::5"));
  bench.passesIn(ra());
  assert.equal(routerOf(bench), parseIPv6(ROUTER));
  bench.dropsOut("nd.target", nsDad("2001:db8:2::6"));
  bench.dropsIn("nd.router", other());
});

test("S1 nobody takes the place of a router that was found as the gateway, the same router counts as that later, too", () => {
  const bench = withGateway();
  bench.passesIn(ra());
  bench.dropsIn("nd.router", ra({ source: OTHER_LINK }));
  // Found first; then its MAC becomes the gateway's: what it taught stays.
  const late = new Bench6();
  late.detect(LINK);
  late.passesIn(ra());
  late.bind();
  late.passesOut(arp());
  late.passesIn(arpReply("192.168.64.1", ROUTER_MAC), ra({ options: bytes() }));
  late.passesOut(nsDad(OWN));
  late.dropsIn("nd.router", ra({ source: OTHER_LINK }));
});

test("S1 a configured router is the only one; its MAC is that of its first advertisement, until it ends", () => {
  const bench = new Bench6({ router6: ROUTER });
  bench.detect(LINK);
  bench.dropsIn("nd.router", other());
  bench.passesIn(ra({ lifetime: 100 }));
  bench.dropsIn("nd.router", ra({ from: OTHER_MAC }));
  bench.wait(100 * SECOND);
  assert.equal(routerOf(bench), parseIPv6(ROUTER));
  bench.dropsOut("nd.target", nsDad(OWN));
  bench.dropsIn("nd.router", other());
  bench.passesIn(ra({ from: THIRD_MAC }));
  bench.dropsIn("nd.router", ra());
});

test("S1 a configured MAC is the only one, before and after the router's end", () => {
  const bench = new Bench6({ router6: ROUTER, router6MacAddress: THIRD_MAC });
  bench.detect(LINK);
  bench.dropsIn("nd.router", ra());
  bench.passesIn(ra({ from: THIRD_MAC, lifetime: 60 }));
  bench.wait(60 * SECOND);
  bench.dropsIn("nd.router", ra());
  bench.passesIn(ra({ from: THIRD_MAC }));
});

test("S5 prefixes: 64 bits and flag A, a lifetime, and neither link-local nor multicast", () => {
  const may = (options: Uint8Array, target: string): boolean => {
    const bench = online();
    bench.passesIn(ra({ options }));
    return bench.out(nsDad(target)) === "pass";
  };
  assert.ok(may(prefixOption(PREFIX), OWN));
  assert.ok(may(prefixOption(PREFIX, { flags: 0x40 }), OWN));
  assert.ok(may(prefixOption("2001:db8:1:0:1234::"), OWN), "host bits");
  assert.ok(!may(prefixOption(PREFIX, { flags: 0x80 }), OWN));
  assert.ok(!may(prefixOption(PREFIX, { flags: 0 }), OWN));
  assert.ok(!may(prefixOption(PREFIX, { length: 63 }), OWN));
  assert.ok(!may(prefixOption(PREFIX, { length: 129 }), OWN));
  assert.ok(!may(prefixOption(PREFIX, { valid: 0 }), OWN));
  assert.ok(!may(prefixOption("fe80:0:0:1::"), "fe80:0:0:1::5"));
  assert.ok(!may(join(bytes(3, 5, 64, 0xc0), prefixOption(PREFIX).subarray(4), word(0), word(0)), OWN), "length 5");
});

test("S5 the last advertisement's word counts, and of two options in one the second", () => {
  const bench = online();
  bench.passesIn(ra(), ra({ options: prefixOption(PREFIX, { valid: 0 }) }));
  bench.dropsOut("nd.target", nsDad(OWN));
  bench.passesIn(ra({ options: join(prefixOption(PREFIX, { valid: 0 }), prefixOption(PREFIX, { valid: 5 })) }));
  bench.passesOut(nsDad(OWN));
  // What an advertisement does not speak of stays.
  bench.passesIn(ra({ options: bytes() }));
  bench.wait(5 * SECOND - 1);
  bench.passesOut(nsDad(OTHER));
  bench.wait(1);
  bench.dropsOut("nd.target", nsDad("2001:db8:1::77"));
});

test("S11 eight prefixes; a further one is not learned until one is over", () => {
  const bench = online();
  const nth = (index: number): string => `2001:db8:${index + 1}::`;
  for (let index = 0; index < 9; index++)
    bench.passesIn(ra({ options: prefixOption(nth(index), { valid: 100 + index }) }));
  bench.passesOut(nsDad(`${nth(7)}5`));
  bench.dropsOut("nd.target", nsDad(`${nth(8)}5`));
  bench.wait(100 * SECOND);
  bench.passesIn(ra({ options: prefixOption(nth(8)) }));
  bench.passesOut(nsDad(`${nth(8)}5`));
});

test("S5 a prefix for ever ends with its router", () => {
  const bench = online();
  bench.passesIn(ra({ lifetime: 65_535, options: prefixOption(PREFIX, { valid: 0xffffffff }) }));
  bench.wait(65_535 * SECOND - 1);
  bench.passesOut(nsDad(OWN));
  bench.wait(1);
  bench.dropsOut("nd.target", nsDad(OTHER));
});

test("I6 on-link prefixes are the VM's neighbours: closed, and open once they are over", () => {
  const bench = new Bench6().start();
  bench.passesOut(tcp6({ destination: GLOBAL6 }));
  const near = "2606:4700::1111";
  bench.passesIn(ra({ options: prefixOption("2606:4700::", { flags: 0x80, length: 48, valid: 30 }) }));
  bench.dropsOut("policy.on-link", tcp6({ destination: near }));
  bench.wait(30 * SECOND);
  bench.passesOut(tcp6({ destination: near }));
});

test("I6 DNS servers of the router: open on port 53 while they live, eight of them, no multicast", () => {
  const bench = new Bench6().start();
  const server = (index: number): string => `fd00::${index + 1}`;
  const ask = (index: number): Uint8Array => udp6(40_000, 53, bytes(1), { destination: server(index) });
  bench.dropsOut("policy.destination", ask(0));
  bench.passesIn(
    ra({ options: dnsOption(60, "ff02::53", "::", ...Array.from({ length: 9 }, (_, index) => server(index))) }),
  );
  bench.passesOut(ask(0), ask(7));
  bench.dropsOut("policy.destination", ask(8), tcp6({ destination: server(0) }, 443));
  bench.wait(60 * SECOND);
  bench.dropsOut("policy.destination", ask(0));
  bench.passesIn(ra({ options: dnsOption(60, server(1)) }), ra({ options: dnsOption(0, server(1)) }));
  bench.dropsOut("policy.destination", ask(1));
});

const pref64 = (prefix: string, code: number, lifetime: number): Uint8Array =>
  join(bytes(38, 2), short(((lifetime / 8) << 3) | code), address6(prefix).subarray(0, 12));

test("I6 NAT64 prefixes of the router: what is behind them passes as far as IPv4's policy goes", () => {
  const bench = new Bench6().start();
  const to = (text: string): Uint8Array => tcp6({ destination: text });
  bench.dropsOut("policy.destination", to("fd64::101:101"));
  bench.passesIn(ra({ options: pref64("fd64::", 0, 64) }));
  bench.passesOut(to("fd64::101:101"));
  bench.dropsOut("policy.destination", to("fd64::a00:1"));
  bench.wait(64 * SECOND - 1);
  bench.passesOut(to("fd64::101:101"));
  bench.wait(1);
  bench.dropsOut("policy.destination", to("fd64::101:101"));
  bench.passesIn(ra({ options: pref64("fd64::", 6, 64) }), ra({ options: pref64("fd64::", 7, 64) }));
  bench.dropsOut("policy.destination", to("fd64::101:101"));
});

test("@host is the router's address: TCP, UDP and ICMPv6 pass", () => {
  const bench = new Bench6().start();
  bench.passesOut(tcp6({ destination: ROUTER, source: LINK }));
  bench.dropsOut("policy.destination", tcp6({ destination: OTHER_LINK, source: LINK }));
});

test("what was learned of the network can be asked for: router, prefixes, NAT64 prefixes and DNS servers, each with its end", () => {
  const bench = online();
  const learned = () => {
    bench.guard.advance(bench.now);
    return bench.guard.learnedNetwork6!;
  };
  assert.deepEqual(learned(), { router: undefined, prefixes: [], nat64: [], dnsServers: [] });
  const told = bench.now;
  const options = join(prefixOption(PREFIX), dnsOption(600, OTHER));
  bench.passesIn(ra({ lifetime: 1800, options }));
  const { router, prefixes, dnsServers } = learned();
  assert.deepEqual(router, { address: parseIPv6(ROUTER), mac: 0x020000000064, end: told + 1800 * SECOND });
  assert.deepEqual(
    prefixes.map(({ address, length, onLink, autonomous }) => [address, length, onLink, autonomous]),
    [[parseIPv6(PREFIX), 64, true, true]],
  );
  assert.deepEqual(dnsServers, [{ address: parseIPv6(OTHER), from: "router", end: told + 600 * SECOND }]);
  bench.wait(600 * SECOND);
  assert.deepEqual(learned().dnsServers, []);
});
