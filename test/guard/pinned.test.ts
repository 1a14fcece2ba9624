/**
 * What the user can fix: the DHCP server and its MAC, the gateway and its MAC (finding G17), the VM's name (G18); and the
 * budget of DECLINEs (G16).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuard } from "../../src/index.ts";
import { bound, OTHER, rogue, server } from "./dhcp-support.ts";
import {
  ADDRESS,
  address,
  arp,
  arpReply,
  Bench,
  bytes,
  Client,
  GATEWAY,
  GATEWAY_MAC,
  HOUR,
  hex,
  join,
  MINUTE,
  NEIGHBOUR,
  type Option,
  OTHER_MAC,
  SECOND,
  Server,
  UNANSWERED,
  VM,
} from "./support.ts";

const client = new Client({ xid: 2 });
const text = (value: string): Uint8Array => Uint8Array.from(Buffer.from(value, "latin1"));

/** Everything about the server but its MAC is forged, and it names itself as router. */
const FORGED = { address: GATEWAY, identifier: GATEWAY, mac: OTHER_MAC };
const ELSEWHERE = address(NEIGHBOUR);
const route = (prefix: string, router: string): Uint8Array => join(hex(prefix), address(router));

/* G17: another router */

const ROUTES: readonly [string, readonly Option[]][] = [
  ["option 3", [[3, ELSEWHERE]]],
  ["option 3 behind the gateway", [[3, join(address(GATEWAY), ELSEWHERE)]]],
  ["option 3 that is cut short", [[3, address(GATEWAY).subarray(0, 3)]]],
  ["a default route in 121", [[121, route("00", NEIGHBOUR)]]],
  ["two halves in 121", [[121, join(route("01 00", NEIGHBOUR), route("01 80", NEIGHBOUR))]]],
  ["one host in 121", [[121, route("20 08080808", NEIGHBOUR)]]],
  ["121 behind a good route", [[121, join(route("00", GATEWAY), route("08 0a", NEIGHBOUR))]]],
  ["121 that is cut short", [[121, join(route("00", GATEWAY), bytes(8))]]],
  ["a default route in 249", [[249, route("00", NEIGHBOUR)]]],
  ["option 33", [[33, join(address("10.0.0.0"), ELSEWHERE)]]],
  ["option 33 that is cut short", [[33, address("10.0.0.0")]]],
  [
    "option 121 in two parts",
    [
      [121, hex("00 c0a8")],
      [121, hex("4009")],
    ],
  ],
  [
    "more than 512 bytes",
    [
      [3, join(...Array.from({ length: 63 }, () => address(GATEWAY)))],
      [3, join(...Array.from({ length: 63 }, () => address(GATEWAY)))],
      [3, join(address(GATEWAY), address(GATEWAY), ELSEWHERE)],
    ],
  ],
];

test("G17 D25 with a configured gateway no OFFER or ACK that names another router is delivered", () => {
  const from = new Server({ ...FORGED, router: undefined });
  for (const [what, options] of ROUTES) {
    const bench = new Bench({ gateway: GATEWAY, dhcpServer: GATEWAY });
    bench.passesOut(client.discover({ options: [[80, bytes()]] }));
    assert.equal(bench.in(from.offer(client, ADDRESS, { options })), "dhcp.router", what);
    assert.equal(bench.in(from.ack(client, ADDRESS, { options: [[80, bytes()], ...options] })), "dhcp.router", what);
    bench.wait(UNANSWERED);
    bench.passesOut(client.reboot(ADDRESS));
    assert.equal(bench.in(from.ack(client, ADDRESS, { options })), "dhcp.router", what);
    bench.assertOffline();
    bench.wait(UNANSWERED);
    bench.bind();
    bench.passesOut(client.inform(ADDRESS));
    assert.equal(bench.in(from.ackInform(client, ADDRESS, { options })), "dhcp.router", what);
    bench.passesOut(client.renew(ADDRESS, GATEWAY));
    assert.equal(bench.in(from.ack(client, ADDRESS, { options })), "dhcp.router", what);
    bench.assertOnline();
  }
});

test("G17 without a configured gateway they are ordinary: second routers and static routes", () => {
  for (const [what, options] of ROUTES) {
    if (what.includes("cut short") || what.includes("512")) continue;
    const bench = new Bench();
    bench.passesOut(client.reboot(ADDRESS));
    assert.equal(bench.in(new Server({ router: undefined }).ack(client, ADDRESS, { options })), "pass", what);
  }
});

test("G17 with a configured gateway its own routes, on-link routes and no router at all pass", () => {
  for (const options of [
    [],
    [[3, address(GATEWAY)]],
    [[3, join(address(GATEWAY), address(GATEWAY))]],
    [[121, join(route("20 a9fea9fe", "0.0.0.0"), route("00", GATEWAY))]],
    [[249, route("00", GATEWAY)]],
    [[33, join(address("10.0.0.0"), address(GATEWAY))]],
  ] as const satisfies readonly (readonly Option[])[]) {
    const bench = new Bench({ gateway: GATEWAY });
    bench.passesOut(client.reboot(ADDRESS));
    bench.passesIn(new Server({ router: undefined }).ack(client, ADDRESS, { options }));
    bench.assertOnline();
  }
});

test("G17 D25 with the server's MAC no OFFER, ACK or NAK comes from another, though all else is forged", () => {
  const forger = new Server(FORGED);
  const bench = new Bench({ dhcpServer: GATEWAY, dhcpServerMacAddress: GATEWAY_MAC });
  bench.passesOut(client.discover());
  bench.dropsIn("dhcp.server", forger.offer(client, OTHER));
  bench.passesIn(server.offer(client, ADDRESS));
  bench.passesOut(client.select(ADDRESS, GATEWAY));
  bench.dropsIn("dhcp.server", forger.ack(client, ADDRESS), forger.nak(client));
  bench.passesIn(server.ack(client, ADDRESS));
  for (const ask of [client.renew(ADDRESS, GATEWAY), client.rebind(ADDRESS), client.reboot(ADDRESS)]) {
    bench.passesOut(ask);
    bench.dropsIn("dhcp.server", forger.ack(client, ADDRESS), forger.nak(client));
    bench.wait(UNANSWERED);
  }
  bench.assertOnline();
  const open = new Bench({ dhcpServer: GATEWAY });
  open.passesOut(client.reboot(ADDRESS));
  open.passesIn(forger.ack(client, ADDRESS));
});

test("G17 the server's MAC counts also where the server is not known", () => {
  const bench = new Bench({ dhcpServerMacAddress: GATEWAY_MAC });
  bench.passesOut(client.discover());
  bench.dropsIn("dhcp.server", rogue.offer(client, OTHER));
  bench.passesIn(server.offer(client, ADDRESS));
});

test("G17 A9 the gateway's MAC holds also where DHCP tells its address", () => {
  const bench = new Bench({ gatewayMacAddress: GATEWAY_MAC });
  bench.bind();
  bench.passesOut(arp());
  bench.dropsIn("arp.gateway", arpReply(GATEWAY, OTHER_MAC));
  bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
});

test("G17 a MAC that no card has is refused with the value", () => {
  for (const [option, words] of [
    ["dhcpServerMacAddress", /DHCP server's MAC address "(ff:ff:ff:ff:ff:ff|00:00:00:00:00:00|02:00)"/],
    ["gatewayMacAddress", /gateway's MAC address "(ff:ff:ff:ff:ff:ff|00:00:00:00:00:00|02:00)"/],
  ] as const) {
    for (const value of ["ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00"]) {
      assert.throws(() => createGuard({ macAddress: VM, [option]: value }), words);
    }
  }
});

/* G18: the VM's name */

const named = (...options: readonly Option[]) => new Bench({ hostname: "Web1" }).out(client.discover({ options }));
const full = (flags: number, name: Uint8Array): Option => [81, join(bytes(flags, 0, 0), name)];

test("G18 D32 a VM with a fixed name gives itself no other, in no message", () => {
  const other: Option = [12, text("fileserver")];
  const bench = new Bench({ hostname: "web1" });
  bench.dropsOut("dhcp.hostname", client.discover({ options: [other] }), client.reboot(ADDRESS, { options: [other] }));
  bench.bind();
  bench.dropsOut(
    "dhcp.hostname",
    client.renew(ADDRESS, GATEWAY, { options: [other] }),
    client.rebind(ADDRESS, { options: [other] }),
    client.inform(ADDRESS, { options: [other] }),
    client.release(ADDRESS, GATEWAY, { options: [other] }),
    client.decline(ADDRESS, GATEWAY, { options: [other] }),
    client.renew(ADDRESS, GATEWAY, { options: [full(0, text("wpad"))] }),
  );
  bench.assertOnline();
  assert.equal(new Bench().out(client.discover({ options: [other] })), "pass");
});

test("G18 its own name passes, with a domain, in any case, as text or in DNS's format, or no name at all", () => {
  for (const options of [
    [],
    [[12, text("web1")]],
    [[12, text("WEB1")]],
    [[12, text("web1\0")]],
    [[12, text("web1.")]],
    [[12, text("web1.example.com")]],
    [[12, bytes()]],
    [
      [12, text("we")],
      [12, text("b1")],
    ],
    [full(0, bytes())],
    [full(1, text("web1.Example.com"))],
    [full(4, hex("04 77656231"))],
    [full(5, hex("04 57656231 07 6578616d706c65 03 636f6d 00"))],
    [full(4, bytes())],
    [[12, text("web1")], full(0, text("web1"))],
  ] as const satisfies readonly (readonly Option[])[]) {
    assert.equal(named(...options), "pass", JSON.stringify(options));
  }
});

test("G18 D32 what only looks like it drops", () => {
  for (const options of [
    [[12, text("web")]],
    [[12, text("web11")]],
    [[12, text("web1 wpad")]],
    [[12, text("web1.\0wpad")]],
    [[12, text("web1\0wpad")]],
    [[12, text(".web1")]],
    [[12, text("wpad.web1")]],
    [
      [12, text("web1")],
      [12, text("pad")],
    ],
    [[12, text("web1")], full(0, text("wpad"))],
    [[12, text("wpad")], full(0, text("web1"))],
    [[81, bytes(0)]],
    [[81, bytes(0, 0)]],
    [full(4, text("web1"))],
    [full(4, hex("04 77706164"))],
    [full(4, hex("05 7765623100"))],
    [full(4, hex("04 77656231 00 04 77706164"))],
    [full(4, hex("08 77656231 2e777061 0164"))],
    [full(4, hex("c0 0c"))],
    [full(4, hex("04 776562"))],
    [full(0, hex("04 77656231"))],
    [
      [12, new Uint8Array(255).fill(0)],
      [12, text("wpad")],
    ],
  ] as const satisfies readonly (readonly Option[])[]) {
    assert.equal(named(...options), "dhcp.hostname", JSON.stringify(options));
  }
});

test("G18 a name with a domain is that name, and no other domain", () => {
  const said = (name: string) =>
    new Bench({ hostname: "web1.example.com" }).out(client.discover({ options: [[12, text(name)]] }));
  assert.equal(said("web1.example.com"), "pass");
  assert.equal(said("web1"), "dhcp.hostname");
  assert.equal(said("web1.example.com.evil.org"), "dhcp.hostname");
  assert.throws(() => createGuard({ macAddress: VM, hostname: "web_1" }), /host name "web_1"/);
  for (const wrong of ["", "-a", "a-", "a..b", "a.", "ä", "a".repeat(64), Array(128).fill("a").join(".")]) {
    assert.throws(() => createGuard({ macAddress: VM, hostname: wrong }), /host name/);
  }
});

/* G16: DECLINE */

test("G16 D4 eight DECLINEs in 24 hours, however slowly, to the microsecond", () => {
  const bench = bound();
  const declines = (): string => {
    bench.bind(ADDRESS, new Client());
    return bench.out(client.decline(ADDRESS, GATEWAY));
  };
  const start = bench.now;
  for (let decline = 0; decline < 8; decline++) {
    assert.equal(declines(), "pass");
    bench.wait(10 * MINUTE);
  }
  for (let attempt = 0; attempt < 100; attempt++) {
    assert.equal(declines(), "dhcp.decline");
    bench.wait(10 * MINUTE);
  }
  bench.now = start + 24 * HOUR - 1;
  assert.equal(declines(), "dhcp.decline");
  bench.wait(1);
  assert.equal(declines(), "pass");
  bench.wait(SECOND);
  assert.equal(declines(), "dhcp.decline");
  bench.now = start + 24 * HOUR + 10 * MINUTE;
  assert.equal(declines(), "pass");
});
