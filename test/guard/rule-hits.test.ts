/** How often each rule decided, and when last. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK_FLAG,
  CLOSED,
  change,
  middle,
  REMOTE,
  remote,
  SYN,
  tcpIn,
  tcpOut,
  tracking,
  udpOut,
} from "./flow-support.ts";
import { OWN, PolicyBench, packet as packet6, TCP } from "./ipv6/policy-support.ts";
import { World } from "./names/world.ts";
import { segment } from "./segment.ts";
import { type Bench, SECOND } from "./support.ts";

/** The rules that decided something, with how often. */
function hitsOf({ guard }: Pick<Bench, "guard">): Record<string, number> {
  const counted = guard.ruleHits.filter(({ hits }) => hits > 0);
  const { hits } = guard.defaultHits;
  return {
    ...Object.fromEntries(counted.map((hit) => [`${hit.action} ${hit.text}`, hit.hits])),
    ...(hits > 0 && { default: hits }),
  };
}

test("without a direction in the rules each packet of the VM's counts at the rule that decides about it", () => {
  const bench = tracking({ live: false, block: ["93.184.0.0/16", "1.1.1.0/24"], allow: ["93.184.216.34/32:443"] });
  bench.passesOut(udpOut(), tcpOut(), tcpOut(middle));
  bench.dropsOut("policy.block", udpOut({ port: 80 }), udpOut({ destination: "1.1.1.1" }));
  bench.passesOut(udpOut({ destination: "9.9.9.9" }));
  assert.deepEqual(hitsOf(bench), {
    "allow 93.184.216.34/32:443": 3,
    "block 93.184.0.0/16": 1,
    "block 1.1.1.0/24": 1,
    default: 1,
  });
});

test("with flows only a connection's first packet counts, in its own direction", () => {
  const bench = tracking({ ...CLOSED, allow: ["out @global:443"] });
  bench.passesOut(tcpOut());
  bench.passesIn(tcpIn({ flags: SYN | ACK_FLAG }));
  bench.passesOut(tcpOut(middle), tcpOut(middle));
  bench.passesIn(tcpIn(middle));
  assert.deepEqual(hitsOf(bench), { "allow out @global:443": 1 });
  bench.dropsIn("policy.block", tcpIn({ source: remote(1), flags: SYN }));
  bench.dropsIn("flow.unknown", tcpIn({ source: remote(2), ...middle }));
  assert.deepEqual(hitsOf(bench), { "allow out @global:443": 1, "block in 0.0.0.0/0": 2 });
});

test("of overlapping rules with ports the one that decides counts", () => {
  const allow = ["93.184.216.34/32:400-500", "93.184.216.34/32:450-600"];
  const bench = tracking({ allow, block: ["93.184.216.34/32:470"] });
  bench.passesOut(udpOut({ port: 420 }), udpOut({ port: 480 }), udpOut({ port: 550 }), udpOut({ port: 551 }));
  bench.dropsOut("policy.block", udpOut({ port: 470 }));
  assert.deepEqual(hitsOf(bench), {
    "allow 93.184.216.34/32:400-500": 2,
    "allow 93.184.216.34/32:450-600": 2,
    "block 93.184.216.34/32:470": 1,
  });
});

test("each has the time of its last hit; a rule that stays in a set keeps its count, others begin anew", () => {
  const bench = tracking({ ...CLOSED, allow: ["out 93.184.0.0/16", "out 9.9.9.9/32"] });
  bench.passesOut(udpOut());
  bench.wait(5 * SECOND);
  bench.passesOut(udpOut({ destination: "9.9.9.9" }));
  const [first, second, never] = bench.guard.ruleHits;
  assert.equal(second!.last - first!.last, 5 * SECOND);
  assert.equal(never!.last, Number.NEGATIVE_INFINITY);
  change(bench, ["out 9.9.9.9/32", "out 8.8.8.8/32"], ["in 0.0.0.0/0"]);
  assert.deepEqual(hitsOf(bench), { "allow out 9.9.9.9/32": 1 });
  change(bench, ["out 93.184.0.0/16"], ["in 0.0.0.0/0"]);
  assert.deepEqual(hitsOf(bench), {}, "it went and came back");
});

test("to ask about a packet, and to judge flows again, counts nothing", () => {
  const bench = tracking({ ...CLOSED, allow: ["out 93.184.0.0/16"] });
  bench.passesOut(tcpOut());
  bench.guard.explain({ direction: "out", protocol: "tcp", remote: 0x5db8d822, port: 443 });
  change(bench, ["out 93.184.0.0/16"], ["in 0.0.0.0/0"]);
  assert.deepEqual(hitsOf(bench), { "allow out 93.184.0.0/16": 1 });
});

test("lookups and connections count at the rule with the name; what rules about addresses drop, at those", () => {
  const world = new World(["registry.example.org", "*.cdn.example.org"]);
  world.resolve("registry.example.org", REMOTE);
  assert.equal(world.connect(REMOTE), "pass");
  assert.equal(world.ask("evil.example.org"), "dns.denied");
  assert.equal(world.connect("9.9.9.9", 443, 40_001), "name.unpinned");
  const hits = hitsOf(world);
  assert.equal(hits["allow registry.example.org"], 2, "its lookup and its connection");
  assert.equal(hits["allow *.cdn.example.org"], undefined);
  assert.equal(hits["block out 0.0.0.0/0"], 1);
  assert.ok(hits["allow out @dns:53"]! >= 1);
});

test("IPv6 counts at the same rules; what a rule implies, and an embedded address, count at the rule that decides", () => {
  const bench = new PolicyBench({ block: ["out 0.0.0.0/0"], allow: ["out @dns:53", "out 8.8.8.8/32"] });
  const to = (destination: string, own: number): string =>
    bench.out(packet6(TCP, segment(own, 443, { flags: SYN }), { source: OWN, destination }));
  assert.equal(to("2600:1f18::34", 1000), "policy.block");
  const hits = (): Record<string, number> =>
    Object.fromEntries(bench.ipv4.nameGuard.hits.all().map(({ action, text, hits }) => [`${action} ${text}`, hits]));
  assert.deepEqual(hits(), { "block out 0.0.0.0/0": 1, "allow out @dns:53": 0, "allow out 8.8.8.8/32": 0 });
  bench.rules(["out ::/0"], ["out 9.9.9.9/32"]);
  assert.equal(to("2002:909:909::1", 1001), "policy.block");
  assert.deepEqual(hits(), { "block out 9.9.9.9/32": 1, "allow out ::/0": 0 });
});
