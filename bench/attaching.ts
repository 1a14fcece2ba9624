/**
 * How long softnet takes to attach, from its start until it forwards: the first on its host, and where a helper runs already; and
 * how long nothing passes when a softnet is ended and a newer one takes over, which is an upgrade. `node bench/attaching.ts`
 * runs this part alone.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { version } from "../src/version.ts";
import { makeCard } from "../test/lab/harness/attached.ts";
import type { Program } from "../test/lab/harness/program.ts";
import { Lab } from "../test/lab/harness/topology.ts";
import { needs, needsRoot } from "../test/support/tools.ts";
import { PUBLISHED } from "./processes.ts";
import { show, spread } from "./statistics.ts";

const ROUNDS = 9;

/** What users install, where it has been made: `npm run package`. */
const EXECUTABLE = fileURLToPath(
  new URL(`../build/softnet-${version()}-${process.platform}-${process.arch}/softnet`, import.meta.url),
);

/** Prints the section, or in one line why there is none. */
export async function attaching(): Promise<void> {
  const { skip } = { ...needs("ip", "nft"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nTime to attach is left out: ${skip}`);
  if (existsSync(EXECUTABLE)) await attachEach("the executable", [EXECUTABLE]);
  await attachEach("with the Node.js that runs this", [process.execPath, PUBLISHED]);
}

async function attachEach(title: string, program: readonly string[]): Promise<void> {
  const lab = new Lab();
  try {
    const ports: string[] = [];
    for (const [index, link] of ["t0", "t1"].entries()) {
      const place = { namespace: lab.namespace(link), link, mac: mac(index), bridged: true };
      ports.push(await makeCard(lab, "veth", place));
    }
    const [first, second, replaced]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < ROUNDS; round++) {
      const one = await attach(lab, program, ports[0]!, mac(0), first);
      const other = await attach(lab, program, ports[1]!, mac(1), second);
      const begin = performance.now();
      await other.stop("SIGTERM");
      const next = await attach(lab, program, ports[1]!, mac(1), []);
      replaced.push(performance.now() - begin);
      for (const softnet of [one, next]) await softnet.stop("SIGTERM");
    }
    console.log(`\nTime to attach, ${title}; medians of ${ROUNDS} rounds, with quartiles`);
    console.log(`  the first softnet of the host, with its helper: ${show(spread(first))} ms (goal 400)`);
    console.log(`  a further one:                                  ${show(spread(second))} ms`);
    console.log(
      `  ended, and the next one attached:               ${show(spread(replaced))} ms in which nothing passes`,
    );
  } finally {
    lab.close();
  }
}

const mac = (index: number): string => `02:00:00:00:01:0${index}`;

async function attach(
  lab: Lab,
  [program, ...first]: readonly string[],
  port: string,
  address: string,
  times: number[],
): Promise<Program> {
  const begin = performance.now();
  const args = [...first, "attach", port, "--vm-mac-address", address];
  const softnet = lab.start(lab.host, program!, args, { label: "softnet" });
  await softnet.line(/started/);
  times.push(performance.now() - begin);
  return softnet;
}

if (import.meta.main) await attaching();
