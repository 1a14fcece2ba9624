/** ARP: whose addresses the VM may speak for, probe for, and hear claimed (threat rows A1–A8, A10). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ADDRESS,
  arp,
  arpProbe,
  arpReply,
  Bench,
  Client,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  hex,
  MINUTE,
  NEIGHBOUR,
  NOBODY,
  OTHER_MAC,
  padded,
  patch,
  SECOND,
  Server,
  VM,
} from "./support.ts";

const settled = () => new Bench({ address: ADDRESS });

function bound(lease = 3600): Bench {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client(), new Server({ lease }));
  return bench;
}

/** A bench whose VM was offered these addresses, each by a server of its own, and took none. */
function offered(...addresses: readonly string[]): Bench {
  const bench = new Bench();
  const client = new Client();
  bench.passesOut(client.discover());
  for (const [index, address] of addresses.entries()) {
    bench.passesIn(new Server({ address: `192.168.64.${200 + index}` }).offer(client, address));
  }
  return bench;
}

test("the VM's requests, replies and announcements for its own address pass", () => {
  const bench = bound();
  bench.passesOut(
    arp({ target: GATEWAY }),
    arp({ target: GATEWAY, to: GATEWAY_MAC, targetMac: GATEWAY_MAC }),
    arp({ operation: 2, target: NEIGHBOUR, targetMac: OTHER_MAC, to: OTHER_MAC }),
    arp({ target: "8.8.8.8" }),
  );
});

test("A1 a reply or request that speaks for the gateway or for another VM drops", () => {
  const bench = bound();
  for (const sender of [
    GATEWAY,
    NEIGHBOUR,
    "192.168.64.4",
    "192.168.64.6",
    "255.255.255.255",
    "127.0.0.1",
    "0.0.0.1",
  ]) {
    for (const operation of [1, 2]) {
      for (const to of [EVERYONE_MAC, OTHER_MAC, GATEWAY_MAC]) {
        bench.dropsOut("arp.sender-address", arp({ operation, sender, target: NEIGHBOUR, to }));
      }
    }
  }
});

test("A1 the theft of the gateway's address, as arpspoof sends it, drops", () => {
  const theft = hex(`
    020000000099 7e1a00000001 0806 0001 0800 06 04 0002
    7e1a00000001 c0a84001 020000000099 c0a84009`);
  bound().dropsOut("arp.sender-address", theft);
  new Bench({ allow: ["0.0.0.0/0"] }).dropsOut("arp.sender-address", theft);
});

test("A1 a VM without an address may not speak for any", () => {
  const bench = new Bench();
  bench.dropsOut("arp.sender-address", arp(), arp({ operation: 2 }), arp({ target: ADDRESS }));
});

test("A2 the Ethernet source, the sender hardware address and the VM's MAC are one", () => {
  const bench = bound();
  bench.dropsOut("arp.hardware-address", arp({ senderMac: OTHER_MAC }), arp({ operation: 2, senderMac: GATEWAY_MAC }));
  bench.dropsOut("arp.hardware-address", arp({ senderMac: EVERYONE_MAC }), arp({ senderMac: "00:00:00:00:00:00" }));
  bench.dropsOut("arp.hardware-address", arpProbe(ADDRESS, { senderMac: OTHER_MAC }));
  bench.dropsOut("ethernet.source", arp({ from: OTHER_MAC, senderMac: VM }));
});

test("A3 hardware type, protocol type and both lengths must be exactly Ethernet's and IPv4's", () => {
  const bench = bound();
  const incoming = arpReply(NEIGHBOUR, OTHER_MAC);
  for (const [at, ...values] of [
    [14, 0, 0],
    [14, 0, 6],
    [14, 1, 1],
    [16, 0x86, 0xdd],
    [16, 0x08, 0x06],
    [18, 0],
    [18, 5],
    [18, 7],
    [18, 255],
    [19, 0],
    [19, 3],
    [19, 5],
    [19, 16],
    [19, 255],
  ] as const) {
    bench.dropsOut("arp.format", patch(arp(), at, ...values), padded(patch(arp(), at, ...values), 1514));
    bench.dropsIn("arp.format", patch(incoming, at, ...values), padded(patch(incoming, at, ...values), 1514));
  }
});

test("A3 an ARP packet cut short drops at every length, and padding of any length and content passes", () => {
  const bench = bound();
  const incoming = arpReply(NEIGHBOUR, OTHER_MAC);
  for (let length = 14; length < 42; length++) {
    bench.dropsOut("arp.format", arp().subarray(0, length));
    bench.dropsIn("arp.format", incoming.subarray(0, length));
  }
  for (const length of [42, 43, 60, 1514]) {
    bench.passesOut(padded(arp(), length).fill(0xa5, 42));
    bench.passesIn(padded(incoming, length).fill(0xa5, 42));
  }
});

test("A4 a gratuitous ARP passes for the bound address only", () => {
  const bench = bound();
  for (const operation of [1, 2]) {
    bench.passesOut(arp({ operation, target: ADDRESS }));
    bench.dropsOut("arp.sender-address", arp({ operation, sender: NEIGHBOUR, target: NEIGHBOUR }));
  }
});

test("A5 a probe passes for the bound address and for offered ones, for nobody else's", () => {
  const bench = bound();
  bench.passesOut(arpProbe(ADDRESS));
  bench.dropsOut("arp.probe", arpProbe(NEIGHBOUR), arpProbe(GATEWAY), arpProbe(NOBODY), arpProbe("169.254.7.7"));
  const waiting = offered("192.168.64.20", "192.168.64.21");
  waiting.passesOut(arpProbe("192.168.64.20"), arpProbe("192.168.64.21"));
  waiting.dropsOut("arp.probe", arpProbe(ADDRESS), arpProbe("192.168.64.22"));
});

test("A5 a probe is a request: a reply from 0.0.0.0 drops", () => {
  bound().dropsOut("arp.probe", arpProbe(ADDRESS, { operation: 2 }));
});

test("A5 an offered address may be probed for 60 s, and not 1 µs longer", () => {
  const bench = offered(ADDRESS);
  bench.wait(MINUTE);
  bench.passesOut(arpProbe(ADDRESS));
  bench.wait(1);
  bench.dropsOut("arp.probe", arpProbe(ADDRESS));
});

test("A5 an expired address may be probed for 60 s more, and not 1 µs longer", () => {
  const bench = bound(120);
  bench.wait(2 * MINUTE);
  bench.passesOut(arpProbe(ADDRESS));
  bench.wait(MINUTE);
  bench.passesOut(arpProbe(ADDRESS));
  bench.wait(1);
  bench.dropsOut("arp.probe", arpProbe(ADDRESS));
});

test("A5 the 60 s after an expiry run from the expiry, also when no frame came by to notice it", () => {
  const bench = bound(120);
  bench.wait(3 * MINUTE + 1);
  bench.dropsOut("arp.probe", arpProbe(ADDRESS));
});

test("A5 of nine pending addresses the oldest is forgotten", () => {
  const addresses = Array.from({ length: 8 }, (_, index) => `192.168.64.${20 + index}`);
  const bench = offered(...addresses);
  bench.passesOut(...addresses.map((address) => arpProbe(address)));
  const client = new Client({ xid: 2 });
  bench.passesOut(client.discover());
  bench.wait(SECOND);
  bench.passesIn(new Server().offer(client, "192.168.64.40"));
  bench.dropsOut("arp.probe", arpProbe(addresses[0]!));
  bench.passesOut(...addresses.slice(1).map((address) => arpProbe(address)), arpProbe("192.168.64.40"));
});

test("A6 only requests and replies pass: no RARP, InARP or anything else, in either direction", () => {
  const bench = bound();
  for (const operation of [0, 3, 4, 8, 9, 10, 25, 256, 257, 512, 65_535]) {
    bench.dropsOut("arp.operation", arp({ operation }));
    bench.dropsIn("arp.operation", arp({ operation, sender: NEIGHBOUR, from: OTHER_MAC }));
  }
});

test("A7 a unicast reply with another VM's address drops like a broadcast one", () => {
  const bench = bound();
  for (const to of [GATEWAY_MAC, OTHER_MAC, "01:00:5e:00:00:01", VM]) {
    bench.dropsOut("arp.sender-address", arp({ operation: 2, sender: NEIGHBOUR, to, target: GATEWAY }));
  }
});

test("A8 the VM answers for nobody else: proxy ARP drops", () => {
  const bench = bound();
  bench.passesIn(arp({ sender: NEIGHBOUR, target: "8.8.8.8", from: OTHER_MAC }));
  bench.dropsOut("arp.sender-address", arp({ operation: 2, sender: "8.8.8.8", target: NEIGHBOUR, to: OTHER_MAC }));
});

/* What the VM hears. */

test("neighbours' ARP reaches the VM", () => {
  const bench = bound();
  bench.passesIn(
    arp({ sender: NEIGHBOUR, target: ADDRESS, from: OTHER_MAC }),
    arpReply(NEIGHBOUR, OTHER_MAC),
    arp({ sender: NEIGHBOUR, target: NEIGHBOUR, from: OTHER_MAC }),
    arpProbe(ADDRESS, { from: OTHER_MAC }),
  );
});

test("A5 the VM's own address claimed by another reaches the VM only as a reply within 3 s of its own probe", () => {
  const bench = bound();
  const reply = arpReply(ADDRESS, OTHER_MAC);
  const claims = [reply, arp({ sender: ADDRESS, target: ADDRESS, from: OTHER_MAC })];
  bench.dropsIn("arp.conflict", ...claims);
  bench.passesOut(arpProbe(ADDRESS));
  bench.passesIn(reply);
  bench.dropsIn("arp.conflict", claims[1]!);
  bench.wait(3 * SECOND);
  bench.passesIn(reply);
  bench.wait(1);
  bench.dropsIn("arp.conflict", ...claims);
});

test("A5 an offered or expired address claimed by another passes likewise only after a probe for it", () => {
  const waiting = offered("192.168.64.20", "192.168.64.21");
  waiting.passesOut(arpProbe("192.168.64.20"));
  waiting.passesIn(arpReply("192.168.64.20", OTHER_MAC));
  waiting.dropsIn("arp.conflict", arpReply("192.168.64.21", OTHER_MAC));
  const expired = bound(120);
  expired.wait(2 * MINUTE);
  expired.dropsIn("arp.conflict", arpReply(ADDRESS, OTHER_MAC));
  expired.passesOut(arpProbe(ADDRESS));
  expired.passesIn(arpReply(ADDRESS, OTHER_MAC));
  expired.wait(MINUTE + 1);
  expired.passesIn(arpReply(ADDRESS, OTHER_MAC));
});

test("A5 a dropped probe opens nothing, and neither does an announcement", () => {
  const bench = bound();
  bench.dropsOut("arp.hardware-address", arpProbe(ADDRESS, { senderMac: OTHER_MAC }));
  bench.dropsOut("arp.probe", arpProbe(NEIGHBOUR));
  bench.passesOut(arp({ target: ADDRESS }));
  bench.dropsIn("arp.conflict", arpReply(ADDRESS, OTHER_MAC));
});

/* A10 */

test("A10 200 ARP frames pass at once, then 50 a second, to the microsecond", () => {
  const bench = bound();
  for (let index = 0; index < 200; index++) bench.passesOut(arp({ target: `10.0.0.${index}` }));
  bench.dropsOut("arp.rate", arp());
  for (let second = 0; second < 3; second++) {
    for (let index = 0; index < 50; index++) {
      bench.wait(19_999);
      bench.dropsOut("arp.rate", arp());
      bench.wait(1);
      bench.passesOut(arp());
      bench.dropsOut("arp.rate", arp());
    }
  }
  bench.wait(4 * SECOND - 20_000);
  for (let index = 0; index < 199; index++) bench.passesOut(arp());
  bench.dropsOut("arp.rate", arp());
});

test("A10 a flood of forged ARP costs the honest programs of the same VM nothing", () => {
  const bench = bound();
  for (let index = 0; index < 1000; index++) {
    bench.dropsOut("arp.sender-address", arp({ sender: GATEWAY }));
    bench.dropsOut("arp.probe", arpProbe(NEIGHBOUR));
    bench.dropsOut("arp.format", patch(arp(), 19, 5));
  }
  let passed = 0;
  while (bench.out(arp()) === "pass") passed++;
  assert.equal(passed, 200);
});

test("A10 the bucket never holds more than 200, however long the silence", () => {
  const bench = new Bench({ address: ADDRESS });
  bench.wait(1000 * MINUTE);
  let passed = 0;
  while (bench.out(arp()) === "pass") passed++;
  assert.equal(passed, 200);
});

test("A10 what the network sends takes nothing from the bucket", () => {
  const bench = settled();
  for (let index = 0; index < 1000; index++) bench.passesIn(arpReply(NEIGHBOUR, OTHER_MAC));
  bench.passesOut(arp());
});

test("L13 an address length of 0 to 255 in every field of ARP never throws and always drops unless 6 and 4", () => {
  const bench = bound();
  for (let length = 0; length < 256; length++) {
    if (length !== 6) bench.dropsOut("arp.format", patch(arp(), 18, length));
    if (length !== 4) bench.dropsOut("arp.format", patch(arp(), 19, length));
  }
  bench.dropsOut(
    "arp.format",
    hex("ffffffffffff 7e1a00000001 0806 0001 0800 06 10 0001 7e1a00000001"),
    hex("ffffffffffff 7e1a00000001 0806"),
  );
});
