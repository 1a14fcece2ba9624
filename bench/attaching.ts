/**
 * How long softnet takes to attach, from its start until it forwards: the first on its host, and where a helper runs already; and
 * how long nothing passes when a softnet is ended and a newer one takes over, which is an upgrade. `node bench/attaching.ts`
 * runs this part alone.
 */
import { makeCard } from "../test/lab/harness/attached.ts";
import type { Program } from "../test/lab/harness/program.ts";
import { Lab } from "../test/lab/harness/topology.ts";
import { needs, needsRoot } from "../test/support/tools.ts";
import { PUBLISHED } from "./processes.ts";
import { show, spread } from "./statistics.ts";

const ROUNDS = 9;

/** Prints the section, or in one line why there is none. */
export async function attaching(): Promise<void> {
  const { skip } = { ...needs("ip", "nft"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nTime to attach is left out: ${skip}`);
  const lab = new Lab();
  try {
    const ports: string[] = [];
    for (const [index, link] of ["t0", "t1"].entries()) {
      const place = { namespace: lab.namespace(link), link, mac: mac(index), bridged: true };
      ports.push(await makeCard(lab, "veth", place));
    }
    const [first, second, replaced]: [number[], number[], number[]] = [[], [], []];
    for (let round = 0; round < ROUNDS; round++) {
      const one = await attach(lab, ports[0]!, mac(0), first);
      const other = await attach(lab, ports[1]!, mac(1), second);
      const begin = performance.now();
      await other.stop("SIGTERM");
      const next = await attach(lab, ports[1]!, mac(1), []);
      replaced.push(performance.now() - begin);
      for (const softnet of [one, next]) await softnet.stop("SIGTERM");
    }
    console.log(`\nAttached after the start, and the helper's: ${show(spread(first))} ms (goal 400)`);
    console.log(`Attached after the start, with a helper there: ${show(spread(second))} ms`);
    console.log(`Ended, and the next one attached:           ${show(spread(replaced))} ms in which nothing passes`);
  } finally {
    lab.close();
  }
}

const mac = (index: number): string => `02:00:00:00:01:0${index}`;

async function attach(lab: Lab, port: string, address: string, times: number[]): Promise<Program> {
  const begin = performance.now();
  const args = [PUBLISHED, "attach", port, "--vm-mac-address", address];
  const softnet = lab.start(lab.host, process.execPath, args, { label: "softnet" });
  await softnet.line(/started/);
  times.push(performance.now() - begin);
  return softnet;
}

if (import.meta.main) await attaching();
