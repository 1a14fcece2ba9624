/**
 * The guard and the second, slow and obvious guard must say the same about every frame of generated traffic: verdict
 * and reason. A run counts only when it reached every drop reason and every kind of message that may pass.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DROP_REASONS } from "../../src/guard/reasons.ts";
import { createFirst } from "./first.ts";
import { generateSession } from "./generate.ts";
import { Tally } from "./tally.ts";

const FRAMES = Number(
  process.env.SOFTNET_ORACLE_FRAMES ?? (process.env.SOFTNET_TEST_ALL === "1" ? 1_600_000 : 250_000),
);
const FIRST_SEED = Number(process.env.SOFTNET_ORACLE_SEED ?? 1);

/** Kinds of passing frames that a run must contain. */
const MUST_PASS = [
  ...["DISCOVER", "SELECTING", "INIT-REBOOT", "RENEWING", "REBINDING", "INFORM", "RELEASE", "DECLINE"],
  ...["OFFER", "OFFER-PROXY"],
  ...["ACK-DISCOVER", "ACK-SELECTING", "ACK-INIT-REBOOT", "ACK-RENEWING", "ACK-REBINDING", "ACK-INFORM"],
  ...["NAK-SELECTING", "NAK-INIT-REBOOT", "NAK-RENEWING", "NAK-REBINDING"],
].map((kind) => `dhcp.${kind}`);
const MUST_PASS_TOO = [
  ...["arp.probe", "arp.request", "arp.reply", "arp.ingress", "arp.conflict-reply", "arp.gateway-known"],
  ...[
    "arp.gateway-asks",
    "arp.gateway-learned",
    "arp.gateway-learned-anew",
    "ipv4.ingress",
    "ipv4.rule",
    "ipv4.exposed-answer",
    "ipv4.gateway",
    "ipv4.dns",
    "ipv4.global",
  ],
];

/** Rare paths that a run must take too. */
const MUST_REACH = [
  "an answer on its way after RELEASE or DECLINE",
  "an answer that was routed here",
  "a server that cannot be",
  "the trusted server renews a static binding",
  "another server confirms in REBINDING",
  "a router that cannot be",
  "a router at a metadata address",
  "a router outside the lease's subnet",
  "a router outside the network's subnet",
  "a DNS server that cannot be",
  "the gateway's address assigned",
  "an edge of the network's subnet assigned",
  "the network's own subnet has the broadcast address",
  "an own address that is the gateway's too",
  "the gateway's MAC from another Ethernet source",
  "an answer to the VM's own address from far away",
  "a bare SYN from an exposed port to the blocked gateway",
  "a held address for an unbound VM",
  "a move to a held address",
  "nobody can tell whether an address is held",
  "a restored binding",
  "no restored binding: a static address",
  "no restored binding: its expiry",
  "no restored binding: a server that cannot be",
  "no restored binding: another server is trusted",
  "no restored binding: its address",
  "an answered transaction gives way",
  "the offer of another transaction is taken",
  "REBINDING from 0.0.0.0",
  "REBINDING of the former address",
  "REBINDING of an unknown address",
  "RENEWING of the former address",
  "RENEWING of an unknown address",
  "an unbound VM is bound again in RENEWING",
  "an unbound VM is bound again in REBINDING",
  "RELEASE to everybody",
  "a NAK of nobody's in INIT-REBOOT",
  "a NAK of nobody's in REBINDING",
  "an answer to the directed broadcast address",
  "ARP as the former address: a request",
  "ARP as the former address: a reply",
  "too much ARP as the former address",
  "the former address is held elsewhere",
  "somebody else speaks as the former address",
  "a DHCP message from another MAC than the server's",
  "the ninth DECLINE of a day",
];

/** Only replay knows the first; the others need floods or other policies, which flows.test.ts has. */
const ELSEWHERE = ["frame.truncated", "flow.full", "flow.half-open", "flow.cut", "icmp.rate"];

test("both guards say the same about every generated frame, and the traffic reaches every reason", (t) => {
  const tally = new Tally();
  for (let seed = FIRST_SEED; tally.steps < FRAMES; seed++) tally.run(createFirst, generateSession(seed));
  tally.tell((text) => t.diagnostic(text));
  const { drops, passes, paths } = tally;

  const reasons = DROP_REASONS.map((reason) => reason.name);
  const missing = [
    ...reasons.filter((name) => !drops.has(name) && !ELSEWHERE.includes(name)),
    ...[...MUST_PASS, ...MUST_PASS_TOO].filter((kind) => !passes.has(kind)),
    ...MUST_REACH.filter((path) => !paths.has(path)),
  ];
  assert.deepEqual(missing, [], "the generator must reach these too");
  assert.deepEqual(
    [...drops.keys()].filter((name) => !reasons.includes(name)),
    [],
    "reasons outside the closed list",
  );
});
