/** What goes to an address whose DHCPv6 lease is over (docs/guard-ipv6.md, Addresses). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FormerAddresses } from "../../../src/guard/ipv6/former-addresses.ts";
import { LEASED, leased, named, REBIND, RELEASE, reply, replying } from "./dhcpv6-support.ts";
import {
  clientId,
  dhcp6,
  GLOBAL6,
  iaAddress,
  iaNa,
  icmpv6,
  inbound,
  nsDad,
  OWN,
  ra,
  SECOND,
  tcp6,
  udp6,
} from "./support.ts";

const LIFETIME = 3600 * SECOND;
const words = (destination: string) => inbound({ source: GLOBAL6, destination });
const datagram = (destination: string) => udp6(443, 5000, new Uint8Array(1), words(destination));

for (const [name, options] of [
  ["stateless", {}],
  ["stateless and live", { live: true }],
  ["stateful", { allow: ["in ::/0"] }],
] as const) {
  test(`D22 after a DHCPv6 lease nothing to its address passes, whatever the policy: ${name}`, () => {
    const bench = leased(options);
    bench.wait(LIFETIME - 1);
    bench.passesIn(datagram(LEASED));
    bench.wait(1);
    bench.dropsIn("ipv6.unbound", datagram(LEASED));
    bench.dropsIn("ipv6.unbound", tcp6(words(LEASED)));
    bench.dropsIn("ipv6.unbound", icmpv6(128, new Uint8Array(4), words(LEASED)));
    bench.dropsIn("ipv6.unbound", icmpv6(1, new Uint8Array(60), words(LEASED)));
  });
}

test("D22 an address of which the lease is over is reached again when it is given again", () => {
  const bench = leased();
  bench.wait(LIFETIME);
  bench.dropsIn("ipv6.unbound", datagram(LEASED));
  bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7, iaAddress(LEASED))], { xid: 9 }));
  bench.passesIn(reply(9));
  bench.passesIn(datagram(LEASED));
});

test("D22 an address of which the lease is over is reached again with the VM's duplicate address detection", () => {
  const bench = leased();
  bench.wait(LIFETIME);
  bench.passesIn(ra());
  bench.dropsIn("ipv6.unbound", datagram(LEASED));
  bench.passesOut(nsDad(LEASED));
  bench.passesIn(datagram(LEASED));
});

test("an address that was given back, and one of SLAAC that was idle, are no former addresses", () => {
  const released = leased();
  released.passesOut(named(RELEASE, 5));
  released.passesIn(datagram(LEASED));
  const idle = leased();
  idle.wait(301 * SECOND);
  assert.ok(!idle.addresses.includes(OWN));
  idle.passesIn(datagram(OWN));
});

test("D22 of seventeen former addresses the one whose lease was over first is forgotten", () => {
  const bench = leased();
  bench.wait(LIFETIME);
  const addresses = Array.from({ length: 16 }, (_, index) => `2001:db8:1::2${index.toString(16)}`);
  bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7)], { xid: 9 }));
  bench.passesIn(replying(9, iaNa(7, ...addresses.slice(0, 15).map((address) => iaAddress(address, 10)))));
  bench.wait(10 * SECOND);
  for (const address of [LEASED, ...addresses.slice(0, 15)]) bench.dropsIn("ipv6.unbound", datagram(address));
  bench.passesOut(dhcp6(REBIND, [clientId(), iaNa(7)], { xid: 10 }));
  bench.passesIn(replying(10, iaNa(7, iaAddress(addresses[15]!, 10))));
  bench.wait(10 * SECOND);
  bench.passesIn(datagram(LEASED));
  for (const address of addresses) bench.dropsIn("ipv6.unbound", datagram(address));
});

test("former addresses are kept like a list of sixteen that forgets the oldest", () => {
  const noted = new FormerAddresses();
  let list: number[] = [];
  const one = (value: number) => Int32Array.of(0x20010db8, 0, value % 3, value);
  let seed = 1;
  for (let step = 0; step < 3000; step++) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const value = (seed >>> 8) % 24;
    if (list.includes(value) || (seed >>> 16) % 4 === 0) {
      noted.remove(one(value));
      list = list.filter((other) => other !== value);
    } else {
      noted.add(one(value), 0);
      list = [...list, value].slice(-16);
    }
    for (let other = 0; other < 24; other++) assert.equal(noted.has(one(other)), list.includes(other), `step ${step}`);
  }
});
