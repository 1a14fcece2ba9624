/**
 * The packaged executable: how large it is, how long it takes to start, and what memory it has then.
 *
 * npm run package && node bench/executable.ts
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { anonymousMemory, makeWires } from "./processes.ts";
import { show, spread } from "./statistics.ts";

const ROUNDS = 11;
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const folder = `../build/softnet-${version}-${process.platform}-${process.arch}`;
const program = process.argv[2] ?? fileURLToPath(new URL(`${folder}/softnet`, import.meta.url));
const args = ["--vm-fd", "3", "--host-fd", "4", "--vm-mac-address", "02:00:00:00:00:11"];

/** Milliseconds until it forwards, and megabytes of anonymous memory then. */
async function start(): Promise<{ readonly milliseconds: number; readonly megabytes: number }> {
  const wires = makeWires();
  const begin = performance.now();
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe", ...wires.near] });
  await once(child.stderr!, "data");
  const milliseconds = performance.now() - begin;
  const megabytes = anonymousMemory(child.pid!);
  child.kill("SIGINT");
  await once(child, "exit");
  wires.close();
  return { milliseconds, megabytes };
}

/** Milliseconds of `softnet --version`. */
function tellVersion(): number {
  const begin = performance.now();
  execFileSync(program, ["--version"]);
  return performance.now() - begin;
}

const [starts, memory, versions]: [number[], number[], number[]] = [[], [], []];
for (let round = 0; round < ROUNDS; round++) {
  const { milliseconds, megabytes } = await start();
  starts.push(milliseconds);
  memory.push(megabytes);
  versions.push(tellVersion());
}
console.log(`size                       ${(statSync(program).size / 1e6).toFixed(0)} MB`);
console.log(`until it forwards          ${show(spread(starts))} ms`);
console.log(`softnet --version          ${show(spread(versions))} ms`);
console.log(`anonymous memory after     ${show(spread(memory), 1)} MB`);
