/**
 * The part about names: both guests run the same job, Mallory's behind a softnet with a list of two names. What the job is
 * for must work for both; everything else that the job tries must work for Alice, who has no list, because otherwise it
 * would prove nothing, and must fail for Mallory at once, with an error of the system's and not by waiting in vain.
 */
import { randomBytes } from "node:crypto";
import type { TlsKey } from "../agent/web-exchange.ts";
import type { Cleanup } from "../cleanup.ts";
import { controlPath } from "../control-path.ts";
import type { Guest } from "../guest.ts";
import { type Result, show } from "../part.ts";
import * as plan from "../plan.ts";
import type { Screen } from "../screen.ts";
import { World } from "../world.ts";
import { ATTEMPTS, type Attempt, GIVES_UP, QUIC_PORT } from "./attempts.ts";
import { countOf, ctl } from "./control.ts";

export const LIST = `${plan.REGISTRY_NAME},${plan.FILES_NAME}`;

/** What was observed, as text. */
type Shown = Result & { readonly evidence: string };
/** One line of the table: without the list, and with it. */
export type Pair = readonly [open: Result, listed: Shown];

export interface NamesPart {
  readonly job: readonly Pair[];
  readonly attempts: readonly Pair[];
}

const MARGIN = " ".repeat(15);

export async function playNames(screen: Screen, cleanup: Cleanup): Promise<NamesPart> {
  screen.passing("   making the machines …");
  const path = controlPath(cleanup);
  const world = await World.create("bridge", cleanup, ["--only", LIST, "--control-socket", path]);
  const key = randomBytes(32);
  await openServices(world, key);
  await world.boot();
  const explain = (words: readonly string[]) => ctl(world.host.namespace, path, words, cleanup);
  const job: Pair[] = [];
  for (const family of world.ipv6 ? ([4, 6] as const) : ([4] as const)) {
    const pair = [await install(world.alice, family, key), await install(world.mallory, family, key)] as const;
    job.push(pair);
    show(screen, pair[1], pair[1].evidence);
  }
  screen.line();
  const attempts: Pair[] = [];
  for (const attempt of ATTEMPTS) {
    if (attempt.needsIPv6 && !world.ipv6) continue;
    screen.passing(`   …           ${attempt.title}`);
    const [open, [listed, because]] = await Promise.all([
      tryOpen(attempt, world.alice, key),
      Promise.all([tryListed(attempt, world.mallory, key, path), explain(["explain", ...attempt.question])]),
    ]);
    attempts.push([open, listed]);
    show(screen, listed, listed.evidence);
    for (const line of because) screen.line(`${MARGIN}${screen.style("dim", line)}`);
  }
  screen.line();
  screen.line("   softnet ctl says what the job looked up and connected to (names):");
  for (const line of await explain(["names"])) screen.line(`   ${screen.style("dim", line)}`);
  screen.passing("   taking the machines away …");
  await world.close();
  return { job, attempts };
}

async function openServices({ ipv6, internet }: World, key: TlsKey): Promise<void> {
  internet.namespace.batch([
    `address add ${plan.STRANGER}/32 dev lo`,
    ...(ipv6 ? [`address add ${plan.STRANGER6}/128 dev lo nodad`] : []),
  ]);
  const web = [plan.INTERNET, ...(ipv6 ? [plan.INTERNET6] : [])];
  const addresses = [...web, plan.STRANGER, ...(ipv6 ? [plan.STRANGER6] : [])];
  await Promise.all([
    internet.agent.call("serveDns", { address: plan.STRANGER, names: plan.NAMES }),
    internet.agent.call("serveEcho", { address: plan.INTERNET, port: QUIC_PORT }),
    internet.agent.call("serveRegistry", { addresses, key, registry: plan.REGISTRY_NAME, files: plan.FILES_NAME }),
  ]);
}

async function install({ agent, lease }: Guest, family: 4 | 6, key: TlsKey): Promise<Shown> {
  const asked = { server: lease.dns, registry: plan.REGISTRY_NAME, key, family, timeout: GIVES_UP };
  const installed = await agent.call("install", asked);
  const works = "size" in installed;
  return {
    title: family === 4 ? "npm-like download" : "npm-like download by IPv6",
    ...{ word: works ? "works" : "fails", asItShouldBe: works, drops: [] },
    evidence: works
      ? `${installed.size / 1000} kB from ${plan.FILES_NAME}, as ${plan.REGISTRY_NAME} describes them`
      : installed.code,
  };
}

async function tryOpen({ title, attempt }: Attempt, guest: Guest, key: TlsKey): Promise<Result> {
  const { succeeded } = await attempt(guest, key);
  return { title, word: succeeded ? "succeeded" : "stopped", asItShouldBe: succeeded, drops: [] };
}

async function tryListed(attempt: Attempt, guest: Guest, key: TlsKey, path: string): Promise<Shown> {
  const { title, reason } = attempt;
  const before = await countOf(path, reason);
  const started = performance.now();
  const { succeeded, code } = await attempt.attempt(guest, key);
  const milliseconds = Math.round(performance.now() - started);
  const count = (await countOf(path, reason)) - before;
  return {
    title,
    word: succeeded ? "succeeded" : "stopped",
    asItShouldBe: !succeeded && code === attempt.code && count > 0,
    drops: count > 0 ? [[reason, count]] : [],
    evidence: succeeded ? "the secret arrived" : `${code} after ${milliseconds} ms: ${reason}`,
  };
}
