/**
 * Both guards must say the same about connections: every packet's verdict, every answer and reset byte by byte, how many
 * flows are alive, and what `explain` tells, while policies, bindings, gateways and DNS servers change. A run counts only
 * when it took every path that is listed here.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createFirst } from "./first.ts";
import { generateFullTable } from "./full-table.ts";
import { generateFlowSession } from "./generate.ts";
import { Tally } from "./tally.ts";

const ALL = process.env.SOFTNET_TEST_ALL === "1";
const STEPS = Number(process.env.SOFTNET_ORACLE_STEPS ?? (ALL ? 2_000_000 : 500_000));
const FULL_TABLES = ALL ? 12 : 4;
const FIRST_SEED = Number(process.env.SOFTNET_ORACLE_SEED ?? 1);

const WAYS = ["in", "out"];
const each = (...parts: (readonly string[])[]): string[] =>
  parts.reduce<string[]>((texts, list) => texts.flatMap((text) => list.map((part) => text + part)), [""]);
const KINDS = [", stateful", ", stateless"];
const CHANGES = each(["stateful", "stateless"], [" to "], ["stateful", "stateless"]);

const MUST_REACH = [
  ...each(["allow ", "block "], ["bare ", "in ", "out "], ["@host", "@dns", "@private", "@global"], [" decides"]),
  ...each(["allow ", "block "], ["bare ", "in ", "out "], ["a CIDR with ports decides"]),
  ...each(["allow ", "block "], ["bare @metadata decides"]),

  ...each(["a TCP", "a UDP", "an echo"], [" flow carries a packet "], ["on", "back"], [", opened "], WAYS),
  ...each(["a TCP flow opens ", "a UDP flow opens ", "an echo flow opens "], WAYS),
  ...each(["a TCP flow opens "], WAYS, [" in mid-stream"]),
  ...each(["a flow carries what no rule would, "], WAYS),
  ...["a bare SYN against the flow's direction", "a bare SYN of a live flow drops", "a bare SYN of a live flow passes"],
  ...["a handshake is complete", "an echo answer opens nothing"],
  ...each(["a packet of nobody's address only asks, ", "an ICMP error that only asks, "], WAYS),
  ...each(["an error about "], ["a TCP", "a UDP", "an echo"], [" flow, "], WAYS),

  ...each(["a flow ends after ", "a packet in the last of a flow's "], ["30", "60", "120", "7440"], [" seconds"]),
  ...["a closed flow ends after 240 seconds", "a packet in the last of a closed flow's 240 seconds"],
  ...["an echo flow ends after 60 seconds", "a packet in the last of an echo flow's 60 seconds"],
  ...each(["flow.half-open, "], ["in", "out", "stateless"]),
  ...each(["no room for a half-open flow, "], ["handshake in", "handshake out", "mid-stream in"], KINDS),
  ...each(["room for a half-open flow beside those of the other side, "], WAYS),
  ...each(["a RST ends a half-open flow, "], ["handshake in", "handshake out", "mid-stream in"], ["", ", stateless"]),
  ...each(["the VM answers in mid-stream"], ["", ", stateless"]),
  "a flow in mid-stream ends without an answer",
  ...each(["a metadata address opens no flow"], KINDS),
  ...["a rule lets a metadata address open a flow", "allow in @metadata decides"],
  "a fragment with a quotation",

  ...["a first fragment opens a flow", "a first fragment noted again", "a later fragment in its last second"],
  ...["a later fragment follows its first, in, stateful"],
  ...each(["a later fragment follows its first, out"], KINDS),
  ...each(["a later fragment, "], ["next, ", "whole, ", "out of order, "], WAYS),
  ...each(["a first fragment takes the place of the oldest of "], ["its remote address, ", "all, "], WAYS),
  ...["no token for a first fragment", "no token for a later fragment"],
  ...["a rule with a port does not open a blocked alias", "a rule with a port opens a part of a blocked alias"],

  ...each(["an unknown flow, "], ["in, for policy.block", "out, for policy.block", "out, for policy.destination"]),
  ...each(["a closed flow opens anew after "], ["FIN", "RST from the VM", "RST from outside"], ["", ", stateless"]),
  ...each(["a closed flow opens anew "], ["from the same side", "from the other side"]),
  ...["a RST is not believed", "a RST is taken back", "a RST answers a segment of an unknown flow"],

  ...each(["another policy "], ["ends a flow, ", "lets a flow live on, "], CHANGES),
  ...each(["the gateway ", "the DNS servers "], ["ends a flow", "ends no flow"]),
  "another address ends all flows",
  ...each(["the far side of a cut flow goes on, ", "an error about a cut flow, "], WAYS),
  ...["a cut flow lives again", "a bare SYN from its far side opens a cut flow anew"],
  "a RST answers a segment of a cut flow",

  ...each(["a RST answers "], ["policy.block", "policy.destination", "policy.metadata", "flow.half-open"]),
  ...each(["ICMP from the gateway answers ", "ICMP from afar answers "], ["policy.block", "policy.destination"]),
  ...each(["ICMP from the gateway answers "], ["policy.gateway", "policy.metadata"]),
  ...["a RST acknowledges data", "a RST acknowledges a FIN", "no answer to a SYN with RST"],
  ...["no answer to a SYN that lies about its header", "no answer to a RST"],
  ...["no answer to an ICMP error", "no answer to a group address", "no answer to nobody's address"],
  ...["no token for an answer", "a reset of a flow", "no reset: the VM acknowledged nothing"],
  ...["no reset: the flow lives again", "no reset: the flow is over"],
];

/** What a full table shows. */
const MUST_REACH_FULL = [
  ...each(["flow.full, "], ["in", "out", "stateless"]),
  ...each(["no room for a flow to the VM"], KINDS),
  "room for a flow of the VM beside those to it",
  ...each(["a flow ends after "], ["30", "7440"], [" seconds"]),
  ...each(["flows idle longest are over, ", "flows ended longest ago are over, "], ["to the VM", "of all"]),
  ...["another policy ends a flow, stateful to stateful", "another policy ends a flow, stateful to stateless"],
  ...["a RST answers flow.full", "ICMP from afar answers flow.full", "a reset of a flow"],
];

const MUST_DROP = [
  ...["flow.icmp", "flow.cut", "flow.half-open", "flow.unknown", "icmp.rate", "icmp.quote", "policy.block"],
  ...["ipv4.fragment", "ipv4.fragment-rate", "ipv4.fragment-unknown", "ipv4.group-frame"],
];
const MUST_PASS = ["ipv4.ingress", "ipv4.rule", "ipv4.gateway", "ipv4.dns", "ipv4.global"];

test("both guards say the same about flows, fragments, answers and policy changes", (t) => {
  const tally = new Tally();
  for (let seed = FIRST_SEED; tally.steps < STEPS; seed++) tally.run(createFirst, generateFlowSession(seed));
  tally.tell((text) => t.diagnostic(text));
  const missing = [
    ...MUST_REACH.filter((path) => !tally.paths.has(path)),
    ...MUST_DROP.filter((reason) => !tally.drops.has(reason)),
    ...MUST_PASS.filter((kind) => !tally.passes.has(kind)),
  ];
  assert.deepEqual(missing, [], "the generator must reach these too");
});

test("both guards say the same about a full table of flows", (t) => {
  const tally = new Tally();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + FULL_TABLES; seed++) tally.run(createFirst, generateFullTable(seed));
  tally.tell((text) => t.diagnostic(text));
  assert.deepEqual(
    MUST_REACH_FULL.filter((path) => !tally.paths.has(path)),
    [],
    "the generator must reach these too",
  );
});
