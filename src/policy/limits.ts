/**
 * Limits of what a VM may send and get (`--limit`): bytes and packets a second in each direction, and the flows that it opens
 * a second. This file is their grammar; docs/limits.md is for users.
 *
 *   LIST   = ITEM *( "," ITEM )
 *   ITEM   = ( "out" | "in" ) SP AMOUNT ( "/s" | "bit/s" | "p/s" ) [ SP "burst" SP AMOUNT ]
 *          | "flows" SP AMOUNT "/s" [ SP "burst" SP AMOUNT ]
 *   AMOUNT = 1*12DIGIT [ "K" | "M" | "G" ]     powers of 1,000, as rates have everywhere
 */
import { UserError } from "../user-error.ts";

/** Tokens a second, and how many may be saved. */
export interface Rate {
  readonly rate: number;
  readonly burst: number;
}

/** Of one direction; undefined: as much as there is. */
export interface DirectionLimit {
  readonly bytes: Rate | undefined;
  readonly packets: Rate | undefined;
}

export interface Limits {
  /** What the VM sends. */
  readonly out: DirectionLimit;
  /** What the VM gets. */
  readonly in: DirectionLimit;
  /** Flows that the VM opens. */
  readonly flows: Rate | undefined;
}

/** What an item is about. */
interface Kind {
  readonly least: number;
  readonly most: number;
  /** The burst where none is given. */
  readonly burst: (rate: number) => number;
  readonly leastBurst: (rate: number) => number;
}

/** A large frame and the next one. */
const TWO_LARGE_FRAMES = 131_072;
/** What is saved for later is used every few milliseconds: less than 20 ms of a rate would keep a VM below it. */
const LEAST_BURST = 1 / 50;
const DEFAULT_BURST = 1 / 10;

const BYTES: Kind = {
  least: 1_000,
  most: 1e12,
  burst: (rate) => Math.max(Math.ceil(rate * DEFAULT_BURST), TWO_LARGE_FRAMES),
  leastBurst: (rate) => Math.ceil(rate * LEAST_BURST),
};
const PACKETS: Kind = {
  least: 1,
  most: 1e9,
  burst: (rate) => Math.max(Math.ceil(rate * DEFAULT_BURST), 64),
  leastBurst: (rate) => Math.ceil(rate * LEAST_BURST),
};
/** A page of a web site opens some dozens at once: a second's worth, and no fewer than these. */
const FLOWS: Kind = {
  least: 1,
  most: 1e6,
  burst: (rate) => Math.max(rate, 50),
  leastBurst: () => 1,
};

const ITEM = /^(out|in|flows) +(\d{1,12})([KMG]?)(bit\/s|p\/s|\/s)(?: +burst +(\d{1,12})([KMG]?))?$/i;
const FACTORS: Readonly<Record<string, number>> = { "": 1, K: 1e3, M: 1e6, G: 1e9 };

export const NO_LIMITS: Limits = Object.freeze({
  out: Object.freeze({ bytes: undefined, packets: undefined }),
  in: Object.freeze({ bytes: undefined, packets: undefined }),
  flows: undefined,
});

/** The limits of a comma-separated list; an empty one is none. Throws UserError. */
export function parseLimits(text: string): Limits {
  const found = new Map<string, Rate>();
  for (const item of text.split(",").map((part) => part.trim())) {
    if (item === "" && text.trim() === "") break;
    const { key, rate } = parseItem(item);
    if (found.has(key)) throw wrong(item, "it is the second limit of its kind: give each once");
    found.set(key, rate);
  }
  return {
    out: { bytes: found.get("out bytes"), packets: found.get("out packets") },
    in: { bytes: found.get("in bytes"), packets: found.get("in packets") },
    flows: found.get("flows"),
  };
}

function parseItem(item: string): { readonly key: string; readonly rate: Rate } {
  const match = ITEM.exec(item);
  if (match === null) throw wrong(item, "give for example out 10M/s, in 1Gbit/s burst 20M, out 5000p/s or flows 100/s");
  const [, word, number, letter, unit, burstNumber, burstLetter] = match as unknown as [string, ...string[]];
  const about = word!.toLowerCase();
  const perSecond = unit!.toLowerCase();
  if (about === "flows" && perSecond !== "/s") throw wrong(item, "flows are counted as such: flows 100/s");
  const [name, kind] =
    about === "flows" ? ["", FLOWS] : perSecond === "p/s" ? [" packets", PACKETS] : [" bytes", BYTES];
  const rate = Math.floor(amount(number!, letter!) / (perSecond === "bit/s" ? 8 : 1));
  if (rate < kind.least || rate > kind.most) {
    throw wrong(item, `the rate is out of range: ${kind.least} to ${kind.most} a second`);
  }
  const burst = burstNumber === undefined ? kind.burst(rate) : amount(burstNumber, burstLetter!);
  if (burst < kind.leastBurst(rate) || burst > kind.most) {
    throw wrong(item, `the burst is out of range: ${kind.leastBurst(rate)} to ${kind.most}`);
  }
  return { key: `${about}${name}`, rate: { rate, burst } };
}

/** In normal form, each with its burst: what `parseLimits` reads again. */
export function formatLimits(limits: Limits): string[] {
  const items: string[] = [];
  for (const way of ["out", "in"] as const) {
    const { bytes, packets } = limits[way];
    if (bytes !== undefined) items.push(`${way} ${short(bytes.rate)}/s burst ${short(bytes.burst)}`);
    if (packets !== undefined) items.push(`${way} ${short(packets.rate)}p/s burst ${short(packets.burst)}`);
  }
  if (limits.flows !== undefined) items.push(`flows ${short(limits.flows.rate)}/s burst ${short(limits.flows.burst)}`);
  return items;
}

function short(value: number): string {
  for (const letter of ["G", "M", "K"]) {
    const factor = FACTORS[letter]!;
    if (value >= factor && value % factor === 0) return `${value / factor}${letter}`;
  }
  return String(value);
}

function amount(digits: string, letter: string): number {
  return Number(digits) * FACTORS[letter.toUpperCase()]!;
}

function wrong(item: string, why: string): UserError {
  return new UserError(`limit ${JSON.stringify(item)} is not possible: ${why}`);
}
