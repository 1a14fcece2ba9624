/**
 * The guard and the second, slow and obvious guard must say the same about every frame of generated traffic: verdict
 * and reason. A run counts only when it reached every drop reason and every kind of message that may pass.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DROP_REASONS } from "../../src/guard/reasons.ts";
import { createFirst } from "./first.ts";
import { generateSession } from "./generate.ts";
import { SLEEPING } from "./generate-sleepers.ts";
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
  "SELECTING with the last address in ciaddr",
  "a request of softnet's own",
  "a REQUEST that waits comes again",
  "another DISCOVER while a REQUEST waits",
  "another SELECTING while a REQUEST waits",
  "another INIT-REBOOT while a REQUEST waits",
  "another INFORM while a REQUEST waits",
  "a group frame to another address where no subnet is known",
  "a fragment with a quotation",
  "a quotation that is too short",
  "a quotation of a header of another length or version",
  "a quotation of a later fragment",
  "a quotation of a packet from somebody else",
  "a quotation of a packet to somebody else",
  "a later fragment follows its first, out, stateless",
  "a later fragment, next, out",
  "a later fragment, whole, out",
  "a later fragment, out of order, out",
  "a question is due",
  "a question to all",
  "a question to the gateway alone",
  "three questions make the gateway's MAC forgotten",
  "no question any more: the gateway is heard",
  "no question any more: the VM's own were three",
  "no question any more: another address is bound",
];

/** Steps of clients that sleep among several servers: at least this share of a run. */
const SLEEPING_SHARE = 1 / 3;

/** Only replay knows the first, only a virtio-net header the second; the others need floods or other policies, which the flow tests have. */
const ELSEWHERE = [
  // What the kernel drops at a TAP is not the guard's.
  "host.queue",
  "host.backlog",
  // Only with limits, which the second guard has none of (guard/flow-openings.test.ts, ports/limited-port.test.ts).
  "limit.rate",
  "limit.flows",
  "frame.truncated",
  "frame.offload",
  "flow.full",
  "flow.half-open",
  "flow.cut",
  "icmp.rate",
  "ipv4.fragment-rate",
];

/** ipv6.test.ts reaches these: here IPv6 is off. */
const OF_IPV6 = /^(?:ipv6|icmpv6|nd|mld|dhcpv6)\.|^policy\.on-link$/;
/** Here no policy has names (guard/names/). */
const OF_NAMES = /^(?:dns|name)\./;

test("both guards say the same about every generated frame, and the traffic reaches every reason", (t) => {
  const tally = new Tally();
  for (let seed = FIRST_SEED; tally.steps < FRAMES; seed++) tally.run(createFirst, generateSession(seed));
  tally.tell((text) => t.diagnostic(text));
  const { drops, passes, paths, topics } = tally;
  const share = (topics.get(SLEEPING) ?? 0) / tally.steps;
  assert.ok(share >= SLEEPING_SHARE, `${SLEEPING}: only ${share} of all steps`);

  const reasons = DROP_REASONS.map((reason) => reason.name);
  const missing = [
    ...reasons.filter(
      (name) => !drops.has(name) && !ELSEWHERE.includes(name) && !OF_IPV6.test(name) && !OF_NAMES.test(name),
    ),
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
