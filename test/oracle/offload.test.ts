/**
 * Both guards must say the same about frames with a virtio-net header in front of them, honest and hostile (threat row
 * L11): what is completed before they are judged, the verdict, and the kind and bytes that leave. A run counts only when
 * it took every path that is listed here.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createFirst } from "./first.ts";
import { generateFlowSession, generateSession } from "./generate.ts";
import { withHeaders } from "./generate-offloads.ts";
import { createFirst6 } from "./ipv6/first.ts";
import { generateSession6 } from "./ipv6/generate.ts";
import { createOracle6, judge6 } from "./ipv6/judge.ts";
import { Tally6 } from "./ipv6/tally.ts";
import { OFFLOAD_FAULTS } from "./offload.ts";
import { Tally } from "./tally.ts";

const ALL = process.env.SOFTNET_TEST_ALL === "1";
const STEPS = Number(process.env.SOFTNET_ORACLE_OFFLOAD_STEPS ?? (ALL ? 600_000 : 150_000));
const FIRST_SEED = Number(process.env.SOFTNET_ORACLE_SEED ?? 1);

const each = (...parts: (readonly string[])[]): string[] =>
  parts.reduce<string[]>((texts, list) => texts.flatMap((text) => list.map((part) => text + part)), [""]);

const MUST_REACH = [
  ...each(
    ["passes egress: ", "passes ingress: "],
    ["complete 0", "partial 6", "partial 17", "segmented 6", "segmented 17", "verified 6"],
  ),
  ...["a checksum elsewhere is completed", "a DHCP datagram's checksum is completed"],
  ...each(["DHCP passes with a completed checksum, "], ["egress", "ingress"]),
  ...each(
    ["no offload: "],
    [
      ...["ARP", "a malformed header", "a packet of another protocol than 6", "a packet of another protocol than 17"],
      ...["a fragment", "padding", "a TCP header that is too short", "a TCP header beyond the packet"],
      ...["SYN in segments", "RST in segments", "UDP of another length", "DHCP in segments"],
      ...["more than 256 segments", "more than 128 segments"],
    ],
  ),
  ...["256 segments", "128 segments", "segments longer than the MTU", "segments as long as the MTU"],
  ...each(["answered: "], ["partial 6", "partial 17", "segmented 6", "segmented 17"]),
];
const MUST_DROP = ["frame.offload", "frame.long", "frame.short", "ipv4.fragment", "dhcp.checksum", "flow.unknown"];

test("both guards say the same about frames with a virtio-net header (L11)", (t) => {
  const tally = new Tally();
  for (let seed = FIRST_SEED; tally.steps < STEPS; seed++) {
    tally.run(createFirst, withHeaders(seed % 2 === 0 ? generateSession(seed) : generateFlowSession(seed)));
  }
  tally.tell((text) => t.diagnostic(text));
  const missing = [
    ...MUST_REACH.filter((path) => !tally.paths.has(path)),
    ...MUST_DROP.filter((reason) => !tally.drops.has(reason)),
  ];
  assert.deepEqual(missing, [], "the generator must reach these too");
});

const MUST_REACH_6 = [
  ...each(
    ["passes egress: ", "passes ingress: "],
    ["complete 0", "partial 6", "partial 17", "segmented 6", "segmented 17", "verified 6"],
    [" of IPv6"],
  ),
  ...["a checksum elsewhere is completed", "a DHCPv6 datagram's checksum is completed"],
  ...each(["DHCPv6 passes with a completed checksum, "], ["egress", "ingress"]),
  ...each(
    ["no offload of IPv6: "],
    [
      ...["a malformed header", "a packet of the other family", "an extension header", "padding"],
      ...["a packet of another protocol than 6", "a packet of another protocol than 17"],
      ...["a TCP header that is too short", "a TCP header beyond the packet", "SYN in segments", "RST in segments"],
      ...["UDP of another length", "DHCP in segments", "more than 256 segments", "more than 128 segments"],
    ],
  ),
  ...["256 segments of IPv6", "128 segments of IPv6"],
  ...["segments of IPv6 longer than the MTU", "segments of IPv6 as long as the MTU"],
];
const MUST_DROP_6 = ["frame.offload", "frame.long", "ipv6.format", "dhcpv6.checksum", "nd.checksum", "flow.unknown"];

test("both guards say the same about IPv6 frames with a virtio-net header (L11)", (t) => {
  const tally = new Tally6();
  for (let seed = FIRST_SEED; tally.steps < STEPS; seed++) {
    tally.run(createFirst6, withHeaders(generateSession6(seed)));
  }
  tally.tell((text) => t.diagnostic(text));
  const missing = [
    ...MUST_REACH_6.filter((path) => !tally.paths.has(path)),
    ...MUST_DROP_6.filter((reason) => !tally.drops.has(reason)),
  ];
  assert.deepEqual(missing, [], "the generator must reach these too");
});

/** Sessions among which each planted bug must show. */
const SESSIONS = 400;

test("each bug about IPv6's headers that is planted in the second guard is found by such sessions (L11)", (t) => {
  let left: readonly string[] = OFFLOAD_FAULTS;
  for (let seed = FIRST_SEED; left.length > 0 && seed < FIRST_SEED + SESSIONS; seed++) {
    const { options, steps } = withHeaders(generateSession6(seed));
    const right = createOracle6(options);
    const expected = steps.map((step) => judge6(right, step));
    const found = left.filter((fault) => {
      const wrong = createOracle6(options, new Set([fault]));
      return steps.some((step, index) => judge6(wrong, step) !== expected[index]);
    });
    for (const fault of found) t.diagnostic(`session ${seed - FIRST_SEED + 1}: ${fault}`);
    left = left.filter((fault) => !found.includes(fault));
  }
  assert.deepEqual(left, []);
});
