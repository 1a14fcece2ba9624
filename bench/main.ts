/**
 * The benchmark: `npm run bench`. All in one run, in interleaved rounds, because machines are noisy; what travels from
 * one machine to another are the ratios.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { frameOf, VM_ADDRESS, VM_MAC } from "./frames.ts";
import { livePolicy } from "./live-policy.ts";
import { names } from "./names.ts";
import { linePlot, writePlot } from "./plot.ts";
import * as processes from "./processes.ts";
import { relay } from "./relay.ts";
import { relay6 } from "./relay-6.ts";
import { show, spread } from "./statistics.ts";

const ROUNDS = 11;
const FRAMES = 100_000;
const SIZES = [64, 1514];
const START_ROUNDS = 9;
const RULE_COUNTS = [0, 1, 10, 100, 1000, 4000];

if (!existsSync(processes.PUBLISHED)) throw new Error("dist/ is missing: run npm run prepare");
const programs = processes.compile("forward", "load");
const SOFTNET_ARGS = [processes.PUBLISHED, "--vm-fd", "3", "--host-fd", "4", "--vm-mac-address", VM_MAC];
const softnet: processes.Contestant = {
  name: "softnet, full guard",
  command: process.execPath,
  args: [...SOFTNET_ARGS, "--vm-ip-address", VM_ADDRESS],
};
const contestants: readonly processes.Contestant[] = [
  { name: "C, one call a frame", command: programs.forward, args: ["single", "3", "4"] },
  { name: "C, batches of 64", command: programs.forward, args: ["batch", "3", "4"] },
  softnet,
];

try {
  console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; medians with quartiles\n`);
  for (const size of SIZES) await relayCost(size);
  await relay6(programs.load);
  guardAlone();
  costOfRules();
  guardLive();
  await livePolicy(programs.load);
  await names(programs.load);
  await startAndMemory();
  await stopping();
} finally {
  programs.remove();
}
// Not before: what it imports ends this process on a signal, after clearing up.
const { throughput } = await import("./throughput.ts");
await throughput();
const { largeFrames } = await import("./large-frames.ts");
await largeFrames();
const { largeFrames6 } = await import("./large-frames-6.ts");
await largeFrames6();
const { expressLane } = await import("./express-lane.ts");
await expressLane();
const { expressLane6 } = await import("./express-lane-6.ts");
await expressLane6();
const { limits } = await import("./limits.ts");
await limits();
const { newFlows } = await import("./new-flows.ts");
await newFlows();
const { attaching } = await import("./attaching.ts");
await attaching();
const { fleet } = await import("./fleet.ts");
await fleet();

/** What forwarding costs, beside C programs that do nothing else. */
async function relayCost(size: number): Promise<void> {
  const load = { frame: frameOf(size), side: "vm" } as const;
  const measured = await relay(
    programs.load,
    contestants.map((contestant) => ({ contestant, load })),
    ROUNDS,
  );
  console.log(
    `Relay, ${size}-byte frames        CPU ns a frame           of the first  of the second  wall ns a frame`,
  );
  const [single, batch] = measured.map(({ cost }) => cost);
  for (const { contestant, cost, wall } of measured) {
    const ratio = (of: readonly number[]) => spread(cost.map((value, round) => value / of[round]!)).median.toFixed(2);
    const columns = [show(spread(cost)).padEnd(26), ratio(single!).padEnd(14), ratio(batch!).padEnd(15)];
    console.log(`  ${contestant.name.padEnd(24)} ${columns.join("")}${show(spread(wall))}`);
  }
  console.log("");
}

function guardAlone(): void {
  const script = fileURLToPath(new URL("guard-alone.ts", import.meta.url));
  const { stdout } = spawnSync(process.execPath, ["--expose-gc", script], { encoding: "utf8" });
  const { nanoseconds, heapBytes, heapFrames } = JSON.parse(stdout);
  console.log(`Guard alone, 1,000 rules, 1,514-byte frames: ${show(spread(nanoseconds), 1)} ns a frame`);
  for (const [of, text] of [
    ["ipv4-beside", "IPv4 while IPv6 is on"],
    ["ipv6", "IPv6"],
  ] as const) {
    const other = spawnSync(process.execPath, ["--expose-gc", script, "1000", "0", of], { encoding: "utf8" });
    console.log(`  ${text}: ${show(spread(JSON.parse(other.stdout).nanoseconds), 1)}`);
  }
  console.log(
    `Heap after ${heapFrames / 1e6} million frames: ${heapBytes} bytes more, ${(heapBytes / heapFrames).toFixed(5)} a frame\n`,
  );
}

/** What a frame costs the guard by the number of rules, as a plot. */
function costOfRules(): void {
  const script = fileURLToPath(new URL("guard-alone.ts", import.meta.url));
  const points = RULE_COUNTS.map((rules) => {
    const { stdout } = spawnSync(process.execPath, ["--expose-gc", script, String(rules), "0"], { encoding: "utf8" });
    return { at: String(rules), value: spread(JSON.parse(stdout).nanoseconds) };
  });
  const told = points.map(({ at, value }) => `${at}: ${value.median.toFixed(1)}`);
  console.log(`Guard alone, ns a frame by the number of rules: ${told.join(", ")}`);
  const title = "The guard alone, 1,514-byte frames";
  writePlot("rules", linePlot({ title, unit: "ns a frame", scale: "block rules", points }));
}

function guardLive(): void {
  const script = fileURLToPath(new URL("guard-live.ts", import.meta.url));
  const { stdout } = spawnSync(process.execPath, ["--expose-gc", script], { encoding: "utf8" });
  const { nanoseconds, setMilliseconds, heapBytes, heapFrames } = JSON.parse(stdout);
  const { stateless, stateful } = nanoseconds;
  console.log(`Guard alone, no rules: ${show(spread(stateless), 1)} ns a frame`);
  console.log(`Guard alone, 4,096 rules and 30,000 flows: ${show(spread(stateful), 1)} ns a frame`);
  console.log(`4,096 rules into force, 30,000 flows judged again: ${show(spread(setMilliseconds), 1)} ms`);
  console.log(`Heap after ${heapFrames / 1e6} million frames of flows: ${heapBytes} bytes more`);
}

/** From the start of the published program to the first frame at the other end, and its memory after a load. */
async function startAndMemory(): Promise<void> {
  const first: number[] = [];
  const memory: number[] = [];
  const frame = frameOf(1514);
  for (let round = 0; round < START_ROUNDS; round++) {
    const wires = processes.makeWires();
    const begin = performance.now();
    const child = processes.start(softnet, wires);
    try {
      processes.load(programs.load, wires, frame, 1, 1);
      first.push(performance.now() - begin);
      processes.load(programs.load, wires, frame, FRAMES);
      memory.push(processes.anonymousMemory(child.pid!));
    } finally {
      child.kill("SIGKILL");
      await processes.ended(child);
      wires.close();
    }
  }
  console.log(`First frame after the start: ${show(spread(first))} ms (goal 300)`);
  console.log(`Anonymous memory after ${FRAMES} frames: ${show(spread(memory), 1)} MB (goal 40)\n`);
}

/** How long softnet takes to end: by signal, and when its idle VM goes away. */
async function stopping(): Promise<void> {
  const times = { SIGINT: [] as number[], SIGTERM: [] as number[], "VM gone": [] as number[] };
  for (let round = 0; round < START_ROUNDS; round++) {
    for (const [how, measured] of Object.entries(times)) {
      const wires = processes.makeWires();
      const child = processes.start(softnet, wires);
      processes.load(programs.load, wires, frameOf(64), 1, 1);
      if (how === "VM gone") {
        // Both ends are held here; closing them all leaves softnet alone with its own.
        measured.push(await goneWith(() => wires.close(), child));
      } else {
        measured.push(await goneWith(() => child.kill(how as NodeJS.Signals), child));
        wires.close();
      }
    }
  }
  for (const [how, measured] of Object.entries(times)) {
    console.log(`Ended after ${how.padEnd(8)} ${show(spread(measured))} ms (goal 200)`);
  }
}

function goneWith(cause: () => void, child: ReturnType<typeof processes.start>): Promise<number> {
  const gone = processes.ended(child);
  cause();
  return gone;
}
