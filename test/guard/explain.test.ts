/** What `explain` says is what happens to the packet, and names the rule or the line of the default policy that decides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createGuard } from "../../src/index.ts";
import { formatIPv4, parseIPv4 } from "../../src/wire/address.ts";
import { change, echoIn, echoOut, flowsOf, tcpIn, tcpOut, tracking, udpIn, udpOut } from "./flow-support.ts";
import { ADDRESS, Bench, DNS_SERVER, GATEWAY, GATEWAY_MAC, NEIGHBOUR, packet, VM } from "./support.ts";

type Question = Parameters<Bench["guard"]["explain"]>[0];

function ask(bench: Bench, direction: "in" | "out", protocol: Question["protocol"], remote: string, port?: number) {
  const {
    verdict,
    reason,
    rule,
    default: line,
  } = bench.guard.explain({
    direction,
    protocol,
    remote: parseIPv4(remote)!,
    port,
  });
  const decided = rule === undefined ? line : `${rule.action} ${rule.text}`;
  assert.ok((rule === undefined) !== (line === undefined));
  assert.equal(verdict === "pass", reason === undefined);
  return `${reason ?? verdict}: ${decided}`;
}

test("the default policy's lines", () => {
  const bench = new Bench({ allow: ["out 10.0.0.0/8"] });
  bench.bind();
  assert.equal(ask(bench, "out", "tcp", "1.1.1.1", 443), "pass: global");
  assert.equal(ask(bench, "out", "tcp", NEIGHBOUR, 443), "policy.destination: not-global");
  assert.equal(ask(bench, "out", "icmp", GATEWAY), "pass: gateway");
  assert.equal(ask(bench, "out", 47, GATEWAY), "policy.gateway: gateway");
  assert.equal(ask(bench, "out", "udp", DNS_SERVER, 53), "pass: dns-server");
  assert.equal(ask(bench, "out", "udp", DNS_SERVER, 54), "policy.destination: not-global");
  assert.equal(ask(bench, "out", "udp", DNS_SERVER), "policy.destination: not-global");
  assert.equal(ask(bench, "out", "icmp", DNS_SERVER), "policy.destination: not-global");
  assert.equal(ask(bench, "out", "tcp", "169.254.169.254", 80), "policy.metadata: metadata");
  assert.equal(ask(bench, "out", "udp", "224.0.0.251", 5353), "policy.multicast: multicast");
  assert.equal(ask(bench, "out", "udp", "255.255.255.255", 9), "policy.broadcast: broadcast");
  assert.equal(ask(bench, "out", "udp", "192.168.64.255", 9), "policy.broadcast: broadcast");
  assert.equal(ask(bench, "out", "tcp", "127.0.0.1", 80), "ipv4.loopback: loopback");
  assert.equal(ask(bench, "out", "tcp", "0.1.2.3", 80), "ipv4.loopback: loopback");
  assert.equal(ask(bench, "in", "tcp", NEIGHBOUR, 22), "pass: inbound");
});

test("the rule that decides, in normal form", () => {
  const bench = tracking({
    allow: ["in 10.1.2.3/8:22-22", "0.0.0.0/0", "@dns:53"],
    block: ["in   0.0.0.0/0", "10.9.0.0/16", "@private", "out @metadata:80"],
    gateway: GATEWAY,
  });
  assert.equal(ask(bench, "in", "tcp", "10.0.0.1", 22), "pass: allow in 10.0.0.0/8:22");
  assert.equal(ask(bench, "in", "tcp", "10.0.0.1", 23), "policy.block: block in 0.0.0.0/0");
  assert.equal(ask(bench, "in", "icmp", "10.9.0.1"), "policy.block: block 10.9.0.0/16");
  assert.equal(ask(bench, "out", "udp", "10.0.0.1", 22), "policy.block: block @private");
  assert.equal(ask(bench, "out", "tcp", "169.254.169.254", 80), "policy.block: block out @metadata:80");
  assert.equal(ask(bench, "out", "tcp", "169.254.169.254", 81), "pass: allow 0.0.0.0/0");
  assert.equal(ask(bench, "out", "tcp", "127.0.0.1", 80), "ipv4.loopback: loopback");
  assert.equal(ask(bench, "in", "icmp", "10.0.0.1", 22), "policy.block: block in 0.0.0.0/0");
});

test("G19 a blocked alias is what decides, and a rule that comes before others for its port says before which", () => {
  const bench = tracking({
    allow: ["0.0.0.0/0:80", "10.1.0.0/16:80", "203.0.113.7/32:80"],
    block: ["@metadata", "@private", "203.0.113.0/24", "@host"],
    gateway: "203.0.113.1",
  });
  const explain = (remote: string) =>
    bench.guard.explain({ direction: "out", protocol: "tcp", remote: parseIPv4(remote)!, port: 80 });
  assert.equal(ask(bench, "out", "tcp", "169.254.169.254", 80), "policy.block: block @metadata");
  assert.equal(ask(bench, "out", "tcp", "10.2.0.1", 80), "policy.block: block @private");
  assert.equal(ask(bench, "out", "tcp", "10.1.0.1", 80), "pass: allow 10.1.0.0/16:80");
  assert.equal(explain("10.1.0.1").outranks, undefined);
  assert.deepEqual(explain("203.0.113.9").outranks, ["203.0.113.0/24"]);
  assert.deepEqual(explain("203.0.113.1").outranks, ["203.0.113.0/24", "@host"]);
  assert.equal(explain("203.0.113.7").outranks, undefined); // an exception within
  assert.equal(explain("8.8.8.8").outranks, undefined);
});

test("in a stateless policy everything to the VM passes", () => {
  const bench = tracking({ block: ["0.0.0.0/0:22"] });
  assert.equal(ask(bench, "in", "tcp", "1.1.1.1", 22), "pass: inbound");
  assert.equal(ask(bench, "out", "tcp", "1.1.1.1", 22), "policy.block: block 0.0.0.0/0:22");
});

test("asking notes nothing and takes no token, and follows a changed policy", () => {
  const bench = tracking({ block: ["in 0.0.0.0/0"] });
  for (let index = 0; index < 1000; index++) ask(bench, "out", "icmp", "1.1.1.1");
  assert.equal(flowsOf(bench), 0);
  bench.dropsIn("policy.block", echoIn(0));
  bench.passesOut(echoOut(8));
  change(bench, [], ["out 0.0.0.0/0"]);
  assert.equal(ask(bench, "out", "icmp", "1.1.1.1"), "policy.block: block out 0.0.0.0/0");
});

test("the verdict is the one that a packet gets", () => {
  const remotes = ["1.1.1.1", GATEWAY, NEIGHBOUR, DNS_SERVER, "169.254.169.254", "10.0.0.1", "10.1.1.1", "127.0.0.1"];
  const target = fc.constantFrom(
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "1.1.1.1/32",
    "@host",
    "@dns",
    "@global",
    "@private",
    "@metadata",
  );
  const rule = fc
    .tuple(fc.constantFrom("", "in ", "out "), target, fc.constantFrom("", ":53", ":22-80"))
    .map((parts) => parts.join(""));
  const rules = fc.array(rule, { maxLength: 5 });
  const question = fc.record({
    direction: fc.constantFrom("in" as const, "out" as const),
    protocol: fc.constantFrom("tcp" as const, "udp" as const, "icmp" as const, 47),
    remote: fc.constantFrom(...remotes),
    port: fc.constantFrom(22, 53, 443),
  });
  fc.assert(
    fc.property(rules, rules, question, (allow, block, { direction, protocol, remote, port }) => {
      const bench = new Bench({ allow, block });
      bench.bind();
      const told = bench.guard.explain({ direction, protocol, remote: parseIPv4(remote)!, port });
      const out = { destination: remote, port };
      const into = { source: remote, own: port, port: 9 };
      const other = { destination: ADDRESS, source: remote, from: GATEWAY_MAC, to: VM };
      const frames = {
        tcp: [tcpOut(out), tcpIn(into)],
        udp: [udpOut(out), udpIn(into)],
        icmp: [echoOut(8, out), echoIn(8, { source: remote })],
        47: [packet(47, new Uint8Array(8), { destination: remote }), packet(47, new Uint8Array(8), other)],
      }[protocol]!;
      const happened = direction === "out" ? bench.out(frames[0]!) : bench.in(frames[1]!);
      assert.equal(happened, told.reason ?? told.verdict, `${formatIPv4(parseIPv4(remote)!)}`);
    }),
    { numRuns: process.env.SOFTNET_TEST_ALL === "1" ? 3000 : 500 },
  );
});

test("a guard without a binding explains its policy too", () => {
  const guard = createGuard({ macAddress: VM });
  assert.deepEqual(guard.explain({ direction: "out", protocol: "tcp", remote: parseIPv4("1.1.1.1")!, port: 1 }), {
    verdict: "pass",
    default: "global",
  });
});
