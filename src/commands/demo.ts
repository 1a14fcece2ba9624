/**
 * `softnet demo`: shows on one Linux machine what softnet protects against. Two guests share a network, and one of them
 * is hostile: first without softnet, then behind softnet, then each on its own network behind softnet's NAT, if this
 * machine has nft, and last with a list of the only names that one may reach. The exit code is 0 only when every attack
 * succeeded without softnet (or that list) and failed behind it, and all services worked. All that was made is removed at the end, also after an error or a signal.
 */
import { constants } from "node:os";
import { Cleanup } from "../demo/cleanup.ts";
import { whyNoIPv6 } from "../demo/ipv6-requirements.ts";
import { playNames } from "../demo/names/part.ts";
import { sweep } from "../demo/namespace.ts";
import { whyNoNat } from "../demo/nat-requirements.ts";
import { playPart } from "../demo/part.ts";
import { checkRequirements } from "../demo/requirements.ts";
import { Screen } from "../demo/screen.ts";
import {
  printHeading,
  printIntroduction,
  printNames,
  printNamesTable,
  printNat,
  printNoIPv6,
  printNoNat,
  printTable,
} from "../demo/story.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
type Ending = (typeof SIGNALS)[number] | "SIGPIPE";

/** Returns the exit code. Throws UserError, before anything is made, if the machine lacks a requirement. */
export async function demo(): Promise<number> {
  checkRequirements();
  const screen = new Screen(process.stdout);
  const cleanup = new Cleanup();
  let signalled: Ending | undefined;
  const interrupt = (ending: Ending) => {
    signalled ??= ending;
    cleanup.run().catch(() => {}); // reported below, where it is awaited
  };
  for (const signal of SIGNALS) process.on(signal, interrupt);
  // The output's reader has closed it (`| head`): end.
  process.stdout.on("error", () => interrupt("SIGPIPE"));
  let code = 1;
  try {
    code = await play(screen, cleanup);
  } catch (error) {
    // An error after an interruption is its consequence.
    if (signalled === undefined) complain(screen, "the demo failed", error);
  }
  try {
    await cleanup.run();
  } catch (error) {
    complain(screen, "not everything was removed", error);
    return 1;
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
  if (signalled === undefined) return code;
  if (signalled !== "SIGPIPE") complain(screen, "interrupted; nothing is left behind");
  return 128 + constants.signals[signalled];
}

function complain(screen: Screen, what: string, error?: unknown): void {
  screen.clear();
  const why = error instanceof Error ? `: ${error.message}` : "";
  process.stderr.write(`softnet: ${what}${why}\n`);
}

async function play(screen: Screen, cleanup: Cleanup): Promise<number> {
  const started = performance.now();
  sweep();
  const noIPv6 = whyNoIPv6();
  printIntroduction(screen, noIPv6 === undefined);
  if (noIPv6 !== undefined) printNoIPv6(screen, noIPv6);
  printHeading(screen, "1. Without softnet");
  const parts = [await playPart("bare", screen, cleanup)];
  screen.line();
  printHeading(screen, "2. Behind softnet");
  parts.push(await playPart("bridge", screen, cleanup));
  screen.line();
  const lack = whyNoNat();
  if (lack === undefined) {
    printHeading(screen, "3. Through NAT");
    printNat(screen);
    parts.push(await playPart("nat", screen, cleanup));
  } else {
    printNoNat(screen, lack);
  }
  screen.line();
  printHeading(screen, "4. Only two names");
  printNames(screen);
  const names = await playNames(screen, cleanup);
  await cleanup.run();
  screen.line();
  printHeading(screen, "What happened");
  const wrong = printTable(screen, parts) + printNamesTable(screen, names);
  const seconds = Math.round((performance.now() - started) / 1000);
  if (wrong > 0) {
    screen.line(screen.style("red", `   Lines that are not as they should be: ${wrong}.`));
    return 1;
  }
  screen.line(`   Every line is as it should be, after ${seconds} s. Nothing is left behind.`);
  screen.line("   docs/drop-reasons.md explains each reason.");
  return 0;
}
