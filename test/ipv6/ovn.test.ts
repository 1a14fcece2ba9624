/**
 * OVN's port security as a second opinion: some hundred frames of neighbour discovery that a VM sends, with own and foreign
 * addresses in every place, judged by both. Where they differ, a reason is written down here and in docs/ipv6.md, and nothing
 * else may differ.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ALL_NODES,
  ANY,
  address6,
  Bench6,
  icmpv6,
  LINK,
  na,
  ns,
  OTHER,
  OTHER_LINK,
  OTHER_MAC,
  OWN,
  ROUTER,
  ra,
  rs,
  sourceLink,
  targetLink,
  VM,
} from "../guard/ipv6/support.ts";
import { bytes, join, word } from "../guard/support.ts";
import { Ovn } from "../lab/harness/ovn.ts";
import { Lab, labNeeds } from "../lab/harness/topology.ts";
import { LONG_LIMIT } from "../support/patience.ts";

const NEEDS = { ...labNeeds("ovn-northd", "ovn-controller", "ovs-vswitchd"), ...LONG_LIMIT };

interface Sent {
  readonly type: "NS" | "NA" | "RS" | "RA" | "Redirect";
  /** The Ethernet source. */
  readonly from: string;
  readonly source: string;
  /** Of NS and NA. */
  readonly target: string;
  /** What the link-layer address option says; undefined: there is none. */
  readonly link: string | undefined;
  readonly hops: number;
  /** Of an NA: the flag R. */
  readonly router: boolean;
  /** Behind a hop-by-hop header with padding. */
  readonly hidden: boolean;
}

const PLAIN = { target: "", link: undefined, hops: 255, router: false, hidden: false } as const;

function* frames(): Generator<Sent> {
  const links = [undefined, VM, OTHER_MAC];
  for (const from of [VM, OTHER_MAC]) {
    for (const source of [LINK, OWN, OTHER_LINK, OTHER, ANY]) {
      for (const link of links) {
        for (const type of ["RS", "RA", "Redirect"] as const) yield { ...PLAIN, type, from, source, link };
        for (const target of [LINK, OWN, OTHER_LINK, OTHER, ROUTER]) {
          for (const type of ["NS", "NA"] as const) yield { ...PLAIN, type, from, source, target, link };
        }
      }
    }
  }
  for (const [source, target] of [
    [LINK, LINK],
    [OWN, OWN],
    [LINK, OWN],
    [OWN, LINK],
    [OTHER, OWN],
  ] as const) {
    const own = { ...PLAIN, from: VM, source, target, link: VM };
    for (const type of ["NS", "NA", "RS", "RA"] as const) {
      yield { ...own, type, hops: 64 };
      yield { ...own, type, hidden: true };
    }
    yield { ...own, type: "NA", router: true };
  }
}

function bytesOf({ type, from, source, target, link, hops, router, hidden }: Sent): Uint8Array {
  const headers = hidden ? { next: 0, headers: bytes(58, 0, 1, 4, 0, 0, 0, 0) } : {};
  const words = { from, source, hops, ...headers };
  const option = (make: (address: string) => Uint8Array) => (link === undefined ? bytes() : make(link));
  switch (type) {
    case "NS":
      return ns({ ...words, target, options: option(sourceLink) });
    case "NA":
      return na({ ...words, target, destination: ALL_NODES, flags: router ? 0xa0 : 0x20, options: option(targetLink) });
    case "RS":
      return rs({ ...words, options: option(sourceLink) });
    case "RA":
      return ra({ ...words, link: link ?? from });
    case "Redirect":
      return icmpv6(137, join(word(0), address6(OTHER, OTHER), option(targetLink)), {
        ...words,
        destination: OTHER_LINK,
        to: OTHER_MAC,
      });
  }
}

const isOwn = (source: string): boolean => source === LINK || source === OWN;

/** Why the two differ: who drops, and which frames. */
const DIFFERENCES: readonly [name: string, softnet: "drops" | "passes", applies: (sent: Sent) => boolean][] = [
  ["port security is no router guard", "drops", ({ type }) => type === "RA" || type === "Redirect"],
  ["a hop limit other than 255", "drops", ({ hops }) => hops !== 255],
  ["neighbour discovery behind an extension header", "drops", ({ hidden }) => hidden],
  ["the router flag of an NA", "drops", ({ type, router }) => type === "NA" && router],
  ["a link-layer address option that is another's", "drops", ({ type, link }) => type !== "NA" && link === OTHER_MAC],
  ["a link-layer address option from ::", "drops", ({ source, link }) => source === ANY && link !== undefined],
  [
    "detection of the router's address",
    "drops",
    ({ type, source, target }) => type === "NS" && source === ANY && target === ROUTER,
  ],
  ["an RS from ::", "passes", ({ type, source, link }) => type === "RS" && source === ANY && link === undefined],
  [
    "an NA for the link-local address",
    "passes",
    ({ type, target, source }) => type === "NA" && target === LINK && isOwn(source),
  ],
];

test(
  "spoofed neighbour discovery: softnet and OVN's port security say the same, but for reasons that are known",
  NEEDS,
  async (t) => {
    const ovn = await Ovn.start(Lab.open(t), { mac: VM, address: OWN });
    const seen = new Map<string, number>();
    const unknown: string[] = [];
    let both = 0;
    let count = 0;
    for (const sent of frames()) {
      const frame = bytesOf(sent);
      const verdict = new Bench6().start().out(frame);
      const passes = verdict === "pass";
      const other = await ovn.passes(frame);
      count++;
      if (passes && other) both++;
      if (passes === other) continue;
      const reason = DIFFERENCES.find(
        ([, softnet, applies]) => (softnet === "passes") === passes && applies(sent),
      )?.[0];
      if (reason === undefined) unknown.push(`${verdict}, OVN ${other ? "passes" : "drops"}: ${JSON.stringify(sent)}`);
      else seen.set(reason, (seen.get(reason) ?? 0) + 1);
    }
    t.diagnostic(`${count} frames, ${both} pass both; differences: ${JSON.stringify(Object.fromEntries(seen))}`);
    assert.deepEqual(unknown, []);
    assert.ok(both > 10, "nothing passes");
    assert.deepEqual([...seen.keys()].toSorted(), DIFFERENCES.map(([name]) => name).toSorted());
  },
);
