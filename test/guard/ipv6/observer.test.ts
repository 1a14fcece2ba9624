/** What the guard tells of IPv6's flows and addresses to who passes their packets, too, and what it takes from there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlowSink, IPv4Observer, IPv6Observer, RemoteAddresses } from "../../../src/guard/flow-observer.ts";
import { FLOW_TCP, FLOW_UDP, KIND, placeOf } from "../../../src/guard/flow-state.ts";
import type { GuardOptions } from "../../../src/index.ts";
import { parseRules } from "../../../src/policy/rule.ts";
import { IN, OUT } from "../../../src/policy/rule-tree.ts";
import { addressOfWords, formatIPv6 } from "../../../src/wire/ipv6-address.ts";
import { LEASED, leased } from "./dhcpv6-support.ts";
import * as policy from "./policy-support.ts";
import { Bench6, GLOBAL6, inbound, LINK, nsDad, OTHER_LINK, OWN, ra, SECOND, TENTATIVE, udp6 } from "./support.ts";

const IDLE = 300 * SECOND;
const PROBED = 303 * SECOND;
const NEVER = Number.POSITIVE_INFINITY;
const [TO_NETWORK, TO_VM] = [1 << OUT, 1 << IN];
const ALL = { allow: ["::/0"] };
const OPEN = { allow: ["out ::/0", "in ::/0"] };

interface Admitted {
  readonly own: string;
  readonly remote: string;
  readonly kind: number;
  readonly ports: number;
  ways: number;
}

class Recorder implements IPv6Observer {
  readonly admitted = new Map<number, Admitted>();
  /** By place: text and end. */
  readonly bound = new Map<number, { readonly address: string; readonly expiry: number }>();
  /** What has passed, by place; microseconds. */
  readonly used = new Map<number, number>();
  invalidations = 0;
  sink: FlowSink | undefined;
  #remotes: RemoteAddresses | undefined;

  reportTo(sink: FlowSink): void {
    this.sink = sink;
  }

  resolveBy(remotes: RemoteAddresses): void {
    this.#remotes = remotes;
  }

  admit(flow: number, kind: number, remote: number, ports: number, ways: number): void {
    this.#remotes!.select(remote);
    const own = this.bound.get(placeOf(kind))!.address;
    const before = this.admitted.get(flow)?.ways ?? 0;
    const text = textOf(this.#remotes!.words, 0);
    this.admitted.set(flow, { own, remote: text, kind: kind & KIND, ports, ways: before | ways });
  }

  report(): void {}

  withdraw(flow: number): void {
    this.admitted.delete(flow);
  }

  end(flow: number): void {
    this.admitted.delete(flow);
  }

  endAll(): void {
    this.admitted.clear();
  }

  invalidate(): void {
    this.invalidations++;
    this.admitted.clear();
  }

  bind(place: number, words: Int32Array, at: number, expiry: number): void {
    if (!this.bound.has(place)) this.used.delete(place);
    this.bound.set(place, { address: textOf(words, at), expiry });
  }

  unbind(place: number): void {
    assert.ok(this.bound.delete(place));
  }

  lastUsed(place: number): number {
    return this.used.get(place) ?? 0;
  }

  placeOf(text: string): number {
    for (const [place, { address }] of this.bound) if (address === text) return place;
    return -1;
  }

  /** When the address ends, as it was told; undefined = it is not bound. */
  endOf(text: string): number | undefined {
    return this.bound.get(this.placeOf(text))?.expiry;
  }

  pass(text: string, time: number): void {
    this.used.set(this.placeOf(text), time);
  }
}

function textOf(words: Int32Array, at: number): string {
  return formatIPv6(addressOfWords(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!));
}

function observed(options: Partial<GuardOptions> = ALL): { readonly bench: Bench6; readonly seen: Recorder } {
  const seen = new Recorder();
  const nothing = (): void => {};
  const ipv4: IPv4Observer = {
    ...{ reportTo: nothing, admit: nothing, report: nothing, withdraw: nothing, end: nothing, endAll: nothing },
    ...{ invalidate: nothing, bind: nothing },
    ipv6: seen,
  };
  return { bench: new Bench6(options, ipv4), seen };
}

const REMOTE = { destination: GLOBAL6 };
const out = (words = {}): Uint8Array => policy.udpOut({ source: OWN, ...REMOTE, to: "02:00:00:00:00:01", ...words });

for (const [what, options] of [
  ["stateless", ALL],
  ["stateful", OPEN],
] as const) {
  test(`a flow is told with both addresses, its ports and its ways, ${what}`, () => {
    const { bench, seen } = observed(options);
    bench.start();
    bench.passesOut(out());
    assert.equal(seen.admitted.size, 0, "the first packet opens it");
    bench.passesOut(out());
    const ports = (443 << 16) | 40_000;
    assert.deepEqual(
      [...seen.admitted.values()],
      [{ own: OWN, remote: GLOBAL6, kind: FLOW_UDP, ports, ways: TO_NETWORK }],
    );
    bench.passesIn(udp6(443, 40_000, new Uint8Array(4), inbound()));
    assert.equal([...seen.admitted.values()][0]!.ways, TO_NETWORK | TO_VM);
  });
}

test("flows that differ in the VM's address alone are two", () => {
  const { bench, seen } = observed();
  bench.start();
  for (const source of [OWN, LINK]) for (let turn = 0; turn < 2; turn++) bench.passesOut(out({ source }));
  assert.deepEqual([...seen.admitted.values()].map(({ own }) => own).toSorted(), [OWN, LINK].toSorted());
});

test("a connection of TCP is told once it is complete", () => {
  const { bench, seen } = observed(OPEN);
  bench.start();
  const words = { source: OWN, destination: GLOBAL6 };
  bench.passesOut(policy.tcpOut({ ...words }));
  bench.passesIn(policy.tcpIn({ source: GLOBAL6, destination: OWN, flags: policy.SYN | policy.ACK }));
  assert.equal(seen.admitted.size, 0);
  bench.passesOut(policy.tcpOut({ ...words, ...policy.middle }));
  const [flow] = seen.admitted.values();
  assert.deepEqual([flow?.kind, flow?.ways], [FLOW_TCP, TO_NETWORK | TO_VM]);
  bench.passesOut(policy.tcpOut({ ...words, flags: policy.FIN | policy.ACK }));
  bench.passesIn(policy.tcpIn({ source: GLOBAL6, destination: OWN, flags: policy.FIN | policy.ACK }));
  assert.equal(seen.admitted.size, 0, "it is closed");
});

test("rules, and what is known of either family's network, are told as changed", () => {
  const { bench, seen } = observed();
  bench.start();
  const admitAgain = (): void => {
    for (let turn = 0; turn < 2; turn++) bench.passesOut(out());
    assert.equal(seen.admitted.size, 1);
  };
  admitAgain();
  bench.guard.setRules(parseRules(["::/0", "10.0.0.0/8"], []));
  assert.equal(seen.admitted.size, 0);
  admitAgain();
  bench.passesIn(ra({ source: "fe80::1", lifetime: 0 }));
  const { invalidations } = seen;
  bench.wait(86_401 * SECOND);
  assert.ok(seen.invalidations > invalidations, "the router has ended");
});

test("S5 an address is told when it is valid, with its end, which follows its use; the only link-local one has none", () => {
  const { bench, seen } = observed();
  bench.detect(LINK);
  assert.equal(seen.endOf(LINK), NEVER);
  bench.passesIn(ra());
  bench.detect(OWN);
  assert.equal(seen.endOf(OWN), bench.now + IDLE);
  bench.wait(10 * SECOND);
  bench.passesOut(out());
  const { now } = bench;
  bench.wait(IDLE - 10 * SECOND);
  assert.equal(seen.endOf(OWN), now + IDLE, "told anew when the former end has come");
  bench.wait(now + IDLE - bench.now);
  assert.equal(seen.endOf(OWN), undefined);
  assert.deepEqual(bench.addresses, [LINK]);
});

test("S5 what passed there is a use: the address lives on, and is not probed", () => {
  const { bench, seen } = observed({ ...ALL, ask: true });
  bench.start();
  const { now } = bench;
  bench.wait(IDLE - SECOND);
  seen.pass(OWN, bench.now);
  seen.pass(LINK, bench.now);
  bench.wait(SECOND);
  assert.equal(bench.probes().length, 0);
  assert.ok(bench.guard.deadline > bench.now, "nothing is due");
  bench.wait(now + PROBED - bench.now);
  assert.ok(bench.addresses.includes(OWN));
  assert.equal(seen.endOf(OWN), now + IDLE - SECOND + PROBED);
  bench.wait(now + 2 * IDLE - SECOND - bench.now);
  assert.equal(bench.probes().length, 2, "both are probed when they were idle");
  seen.pass(OWN, bench.now + SECOND / 2);
  bench.wait(SECOND);
  assert.equal(bench.probes().length, 1, "of an answer that passed there softnet knows, too");
});

test("S5 the only link-local address, asked about in vain, is asked about again once it was used there", () => {
  const { bench, seen } = observed({ ...ALL, ask: true });
  bench.detect(LINK);
  bench.passesIn(ra({ lifetime: 9000 }));
  bench.wait(IDLE + 10 * SECOND);
  assert.equal(bench.probes().length, 3);
  seen.pass(LINK, bench.now);
  assert.equal(bench.probes().length, 0);
  assert.equal(bench.guard.deadline, bench.now + IDLE);
  bench.wait(IDLE);
  assert.equal(bench.probes().length, 1);
});

test("S11 the address whose place is needed is the one unused for longest, there as here", () => {
  const { bench, seen } = observed();
  bench.start();
  const others = Array.from({ length: 15 }, (_, index) => `2001:db8:1::${(index + 0x100).toString(16)}`);
  bench.detect(...others);
  bench.wait(SECOND);
  seen.pass(OWN, bench.now);
  bench.wait(SECOND);
  bench.detect("2001:db8:1::777");
  assert.ok(seen.endOf(OWN) !== undefined);
  assert.equal(seen.endOf(others[0]!), undefined);
});

test("S5 beside a link-local address that may become valid the other one has an end", () => {
  const { bench, seen } = observed();
  bench.detect(LINK);
  bench.wait(1000 * SECOND);
  assert.equal(seen.endOf(LINK), NEVER);
  bench.passesOut(nsDad(OTHER_LINK));
  assert.ok(seen.endOf(LINK)! <= bench.now);
  bench.wait(TENTATIVE);
  assert.deepEqual(bench.addresses, [OTHER_LINK]);
  assert.deepEqual([seen.endOf(LINK), seen.endOf(OTHER_LINK)], [undefined, NEVER]);
});

test("a lease of DHCPv6 ends with its time, used or not; a static address has no end", () => {
  const { bench, seen } = observed({ ...ALL, address6: OWN });
  bench.detect(LINK);
  assert.equal(seen.endOf(OWN), NEVER);
  const lease = observed();
  const { now } = leased({}, lease.bench);
  lease.bench.wait(1);
  lease.bench.passesIn(ra({ lifetime: 9000 }));
  assert.equal(lease.seen.endOf(LEASED), now + 3600 * SECOND);
  lease.bench.wait(3599 * SECOND - 1);
  lease.seen.pass(LEASED, lease.bench.now);
  lease.bench.wait(SECOND);
  assert.equal(lease.seen.endOf(LEASED), undefined);
});

test("no address is told to outlive what is known of the network, unless that is told anew", () => {
  const { bench, seen } = observed();
  bench.detect(LINK);
  bench.passesIn(ra({ lifetime: 100 }));
  const end = bench.now + 100 * SECOND;
  bench.detect(OWN);
  assert.deepEqual([seen.endOf(LINK), seen.endOf(OWN)], [end, end]);
  bench.passesIn(ra({ lifetime: 200 }));
  assert.deepEqual([seen.endOf(LINK), seen.endOf(OWN)], [bench.now + 200 * SECOND, bench.now + 200 * SECOND]);
  bench.wait(200 * SECOND);
  assert.ok(seen.endOf(LINK)! > bench.now, "the router is over, its prefix is not");
});

test("with an address its flows end, and no others", () => {
  const { bench, seen } = observed();
  leased({}, bench);
  bench.wait(3599 * SECOND);
  assert.deepEqual(bench.addresses, [LEASED, LINK].toSorted());
  const tcp = (source: string): Uint8Array => policy.tcpOut({ source, destination: GLOBAL6, ...policy.middle });
  for (const source of [LEASED, LINK]) for (let turn = 0; turn < 2; turn++) bench.passesOut(tcp(source));
  assert.equal(seen.admitted.size, 2);
  bench.wait(SECOND);
  assert.deepEqual(
    [...seen.admitted.values()].map(({ own }) => own),
    [LINK],
  );
});
