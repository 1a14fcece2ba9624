/**
 * One part of the demo: on new machines Alice uses her network, Mallory tries every attack, and Alice uses her network
 * again while Mallory floods it. Each result is printed at once and judged: without softnet every attack must succeed,
 * because otherwise it would prove nothing that it fails behind softnet; behind softnet none may succeed. Behind NAT
 * the guest's network has no other machine: only attacks on remote machines are tried.
 */
import { ATTACKS } from "./attacks/all.ts";
import type { Attack, Outcome } from "./attacks/attack.ts";
import type { Way } from "./cards.ts";
import type { Cleanup } from "./cleanup.ts";
import { duringFlood, FLOOD_PER_KIND } from "./flood.ts";
import type { Screen } from "./screen.ts";
import { SERVICES } from "./services/all.ts";
import type { Service } from "./services/service.ts";
import type { Drops } from "./softnet.ts";
import { World } from "./world.ts";

/** One line of the final table, seen from one part. */
export interface Result {
  readonly title: string;
  /** `succeeded`, `stopped`, `works`, `fails`. */
  readonly word: string;
  readonly asItShouldBe: boolean;
  /** Reason and count, for what softnet dropped. */
  readonly drops: readonly (readonly [reason: string, count: number])[];
}

export interface Part {
  readonly attacks: readonly Result[];
  readonly services: readonly Result[];
  readonly flood: Flood;
}

export interface Flood {
  /** What Alice found meanwhile. */
  readonly services: readonly Result[];
  /** Frames a second that Mallory sent. */
  readonly rate: number;
  /** Frames that softnet dropped. */
  readonly dropped: number;
}

const NO_FLOOD: Flood = { services: [], rate: 0, dropped: 0 };

/**
 * How often what must succeed or work is tried: on a busy machine an answer may come after the moment allowed for it.
 */
const TRIES = 5;

const WORD_WIDTH = 11;
const TITLE_WIDTH = 29;

export async function playPart(way: Way, screen: Screen, cleanup: Cleanup): Promise<Part> {
  screen.passing("   making the machines …");
  const world = await World.create(way, cleanup);
  await world.start();
  screen.line(`   Alice is ${world.alice.address}, Mallory is ${world.mallory.address}: both asked DHCP.`);
  const services = await useAll(world, screen, true);
  screen.line();
  const attacks: Result[] = [];
  for (const attack of ATTACKS) {
    const reasons = way === "nat" ? attack.natReasons : attack.reasons;
    if (attack.needsIPv6 && !world.ipv6) continue;
    if (reasons !== undefined) attacks.push(await tryAttack(attack, reasons, world, screen));
  }
  let flood = NO_FLOOD;
  if (way !== "nat") {
    screen.line();
    flood = await tryFlood(world, screen);
  }
  screen.passing("   taking the machines away …");
  await world.close();
  return { services, attacks, flood };
}

async function tryAttack(attack: Attack, reasons: readonly string[], world: World, screen: Screen): Promise<Result> {
  screen.passing(`   ${"…".padEnd(WORD_WIDTH)} ${attack.title}`);
  const { softnet } = world.mallory;
  const before = softnet?.drops ?? {};
  let outcome = await attack.attempt(world);
  for (let tries = 1; world.way === "bare" && !outcome.succeeded && tries < TRIES; tries++) {
    await world.restore(attack.needsIPv6);
    outcome = await attack.attempt(world);
  }
  const counted = reasons.length > 0 ? softnet?.dropsSince(before, reasons) : undefined;
  const [since = {}] = await Promise.all([counted, world.restore(attack.needsIPv6)]);
  const drops = reasons.map((reason) => [reason, since[reason] ?? 0] as const);
  const asItShouldBe =
    world.way === "bare" ? outcome.succeeded : isStopped(outcome) && drops.every(([, count]) => count > 0);
  const word = isStopped(outcome) ? "stopped" : "succeeded";
  const result = { title: attack.title, word, asItShouldBe, drops: drops.filter(([, count]) => count > 0) };
  show(screen, result, outcome.evidence);
  return result;
}

/** An attack that gained nothing but did harm is not stopped either. */
function isStopped(outcome: Outcome): boolean {
  return !outcome.succeeded && outcome.unharmed;
}

async function useAll(world: World, screen: Screen, mustWork: boolean): Promise<Result[]> {
  const results: Result[] = [];
  for (const service of SERVICES) results.push(await use(service, world, screen, mustWork));
  return results;
}

async function use(service: Service, world: World, screen: Screen, mustWork: boolean): Promise<Result> {
  screen.passing(`   ${"…".padEnd(WORD_WIDTH)} ${service.title}`);
  let { works, evidence } = await service.attempt(world);
  for (let tries = 1; mustWork && !works && tries < TRIES; tries++) {
    ({ works, evidence } = await service.attempt(world));
  }
  const word = works ? "works" : "fails";
  const result = { title: service.title, word, asItShouldBe: works || !mustWork, drops: [] };
  show(screen, result, evidence);
  return result;
}

/** Without softnet nothing is asked of Alice's network then: how much of it breaks is a matter of chance. */
async function tryFlood(world: World, screen: Screen): Promise<Flood> {
  screen.line("   Now Mallory floods the network with ARP, DHCP and spoofed frames, a thousand of each a second:");
  const { softnet } = world.mallory;
  const before = softnet?.drops ?? {};
  let results: Result[] = [];
  const sent = await duringFlood(world, async () => {
    results = await useAll(world, screen, world.way !== "bare");
  });
  const dropped: Drops = (await softnet?.dropsSince(before, [])) ?? {};
  const rate = Math.round(sent.frames / sent.seconds);
  // A flood with a lower rate proves nothing.
  if (rate < FLOOD_PER_KIND) results = results.map((result) => ({ ...result, asItShouldBe: false }));
  return { services: results, rate, dropped: Object.values(dropped).reduce((sum, count) => sum + count, 0) };
}

export function show(screen: Screen, { word, title, asItShouldBe }: Result, evidence: string): void {
  const style = styleOf(word);
  const remark = asItShouldBe ? "" : screen.style("yellow", "  (not as it should be)");
  screen.line(`   ${screen.cell(word, WORD_WIDTH, style)} ${title.padEnd(TITLE_WIDTH)} ${evidence}${remark}`);
}

/** Green is good for Alice, red is bad for her. */
export function styleOf(word: string): "green" | "red" {
  return word === "works" || word === "stopped" ? "green" : "red";
}
