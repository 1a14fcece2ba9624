/**
 * Attacks by IPv6, each made twice in one lab: first from behind softnet, where nothing of it may arrive at an innocent
 * neighbour, whose connection goes on; then from a bare guest, where it must arrive, for an attack that never bit proves
 * nothing. Neither attacker's port is isolated, so that it is the guard which stops the attack, and nothing else.
 */
import assert from "node:assert/strict";
import type { Tool } from "../../support/tools.ts";
import type { Guest } from "./guest.ts";
import { addresses6, globals, INTERNET6, online, openLab6, radvd } from "./ipv6.ts";
import { type Program, sleep, until } from "./program.ts";
import { assertDropped } from "./softnet.ts";
import { type Cleanup, type Lab, tool } from "./topology.ts";
import type { Seen, Watch } from "./watch.ts";

/** Rules that let the attacker reach everything, so that only what is forged is dropped. */
const OPEN = ["--ipv6", "--allow", "0.0.0.0/0", "--allow", "::/0"];
/** Milliseconds in which an effect would have shown, once the tool has done its part: it must not. */
const UNSEEN = 2_000;
/** Milliseconds for a tool that does not tell when it has done its part. */
const BOUND = 6_000;

export interface Scene6 {
  readonly lab: Lab;
  readonly attacker: Guest;
  /** The attacker's own addresses at the start. */
  readonly own: readonly string[];
  /** The neighbour's. */
  readonly victim: { readonly address: string; readonly linkLocal: string; readonly mac: string };
  /** 1 behind softnet, 2 bare. */
  readonly round: number;
}

export interface Attack6 {
  readonly name: string;
  readonly tools: readonly Tool[];
  /** Played with SOFTNET_TEST_ALL=1 only: it differs little from another. */
  readonly further?: boolean;
  readonly command: (scene: Scene6) => readonly string[];
  /** The line with which the tool says that it did its part; without it, it is ended after a while. */
  readonly done?: RegExp;
  /** How long it lasts behind softnet, where it does not say so; default BOUND. */
  readonly milliseconds?: number;
  /** What the neighbour does meanwhile. */
  readonly provoke?: (scene: Scene6) => void | Promise<void>;
  /** A frame of the attack, as the neighbour's card sees it. */
  readonly arrives: (frame: NonNullable<Seen["ip6"]>, seen: Seen, scene: Scene6) => boolean;
  /** How many of them without softnet at least, and how many are allowed with it; default 1 and 0. */
  readonly least?: number;
  readonly most?: number;
  /** What else it does to the neighbour or the router. */
  readonly harms?: (scene: Scene6) => boolean;
  /** Drop reasons, one of which the guard must have had. */
  readonly reasons: readonly string[];
}

/** A command of tools/attack6.py. */
export function scapy6(name: string, { attacker }: Scene6, ...args: readonly string[]): string[] {
  return ["/usr/bin/python3", tool("attack6.py"), name, attacker.link, ...args];
}

export async function play6(t: Cleanup, attack: Attack6): Promise<void> {
  const lab = openLab6(t);
  await radvd(lab);
  const attacker = await lab.guest({ bare: false, args: OPEN });
  const bare = await lab.guest({ bare: true });
  for (const guest of [attacker, bare]) await online(guest.namespace, guest.link);
  const address = await online(lab.neighbour, "nb0");
  const linkLocal = addresses6(lab.neighbour, "nb0").find(({ scope }) => scope === "link")!.local;
  const [{ address: mac }] = lab.neighbour.ipJson<{ address: string }>("link", "show", "nb0") as [{ address: string }];
  const watch = await lab.watch(lab.neighbour, "nb0");
  const pings = lab.start(lab.neighbour, "ping", ["-n", "-i", "0.2", INTERNET6]);
  await pings.line(/time=/);

  const scene = { lab, victim: { address, linkLocal, mac } };
  const own = (guest: Guest) => addresses6(guest.namespace, guest.link).map(({ local }) => local);
  await behindSoftnet(attack, { ...scene, attacker, own: own(attacker), round: 1 }, watch, pings);
  await withoutSoftnet(attack, { ...scene, attacker: bare, own: own(bare), round: 2 }, watch);
}

async function behindSoftnet(attack: Attack6, scene: Scene6, watch: Watch, pings: Program): Promise<void> {
  const program = await start(attack, scene);
  await (attack.done === undefined ? sleep(attack.milliseconds ?? BOUND) : program.line(attack.done));
  if (attack.done === undefined) program.kill(); // a flood would take the machine from the others
  await sleep(UNSEEN);
  const seen = watch.frames.filter((frame) => isOf(attack, frame, scene));
  assert.ok(seen.length <= (attack.most ?? 0), `it arrived ${seen.length} times: ${JSON.stringify(seen[0])}`);
  assert.ok(attack.harms?.(scene) !== true, "it works through softnet");
  const before = pings.count(/time=/);
  await until("the neighbour's connection goes on", () => pings.count(/time=/) > before + 2);
  assert.ok(globals(scene.lab.neighbour, "nb0").includes(scene.victim.address));
  program.kill();
  await program.ended();
  assertDropped(await scene.attacker.stop(), ...attack.reasons);
}

async function withoutSoftnet(attack: Attack6, scene: Scene6, watch: Watch): Promise<void> {
  const count = () => watch.count((frame) => isOf(attack, frame, scene));
  const before = count();
  const program = await start(attack, scene);
  await until("the attack arrives without softnet", () => count() >= before + (attack.least ?? 1));
  if (attack.harms !== undefined) await until("the attack works without softnet", () => attack.harms!(scene));
  program.kill();
}

async function start(attack: Attack6, scene: Scene6): Promise<Program> {
  const [command, ...args] = attack.command(scene);
  const program = scene.attacker.start(command!, args);
  if (attack.done === undefined) await sleep(1_000);
  else await program.line(/^ready$/);
  await attack.provoke?.(scene);
  return program;
}

function isOf({ arrives }: Attack6, seen: Seen, scene: Scene6): boolean {
  return !seen.sent && seen.ip6 !== undefined && arrives(seen.ip6, seen, scene);
}

/** The neighbour gives itself one more address, and asks first whether somebody has it (RFC 4862 5.4). */
export const oneMore = ({ round }: Scene6): string => `2001:db8:77::da:${round}`;
export function takesOneMore(scene: Scene6): void {
  scene.lab.neighbour.ip("address", "add", `${oneMore(scene)}/64`, "dev", "nb0");
}

/** It found that somebody has it. */
export function isKeptOff(scene: Scene6): boolean {
  return addresses6(scene.lab.neighbour, "nb0").some((one) => one.local === oneMore(scene) && one.dadfailed === true);
}
