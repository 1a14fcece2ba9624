/**
 * The guard alone with flows, in a process of its own with --expose-gc: nanoseconds a frame of a stateful policy with 4,096
 * rules and 30,000 live flows beside those of a stateless guard without rules, in interleaved rounds over the same frames;
 * how long it takes to put 4,096 rules into force; and what ten million frames leave on the heap. Prints one JSON line.
 *
 * What that is of a relay's whole cost of a frame: live-policy.ts.
 */
import { createGuard, type Guard } from "../src/guard/guard.ts";
import { parseRules } from "../src/policy/rule.ts";
import { FrameView } from "../src/wire/frame-view.ts";
import { VM_ADDRESS, VM_MAC } from "./frames.ts";
import { FLOWS, LENGTH, liveFrames, RULE_TEXTS } from "./live-frames.ts";

const ROUNDS = 11;
const PER_ROUND = 2_000_000;
const HEAP_FRAMES = 10_000_000;
const BATCH = 64;
/** Prime to the number of flows. */
const PRIME = 7919;
/** Microseconds that a batch takes at two million frames a second. */
const BATCH_TIME = 32;

const options = { macAddress: VM_MAC, address: VM_ADDRESS, gateway: "192.168.64.1" };
const contestants = {
  stateless: createGuard(options),
  stateful: createGuard({ ...options, block: RULE_TEXTS }),
};

const bytes = liveFrames();
const view = new FrameView();
// The flows are opened in another order than they are used in, so that their places in memory follow no pattern.
for (let index = 0; index < FLOWS; index++) {
  const slot = (index * PRIME) % FLOWS;
  const at = slot * LENGTH;
  view.read(bytes, at, LENGTH);
  for (const guard of Object.values(contestants)) {
    if (guard.judgeEgress(view) !== 0) throw new Error(`frame ${slot} does not pass`);
  }
}
if (contestants.stateful.flows < FLOWS) throw new Error(`only ${contestants.stateful.flows} flows are live`);

let time = 0;
let passed = 0;
function judge(guard: Guard, count: number): void {
  for (let index = 0; index < count; index++) {
    if (index % BATCH === 0) {
      time += BATCH_TIME;
      guard.advance(time);
    }
    const slot = index % FLOWS;
    view.read(bytes, slot * LENGTH, LENGTH);
    if (guard.judgeEgress(view) === 0) passed++;
  }
}

/** Nanoseconds of CPU time: what else runs on the machine counts less so. */
function measure(action: () => void): number {
  const before = process.cpuUsage();
  action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) * 1000;
}

const nanoseconds = { stateless: [] as number[], stateful: [] as number[] };
for (let round = 0; round < ROUNDS + 2; round++) {
  for (const name of ["stateless", "stateful"] as const) {
    const spent = measure(() => judge(contestants[name], PER_ROUND)) / PER_ROUND;
    // The first two rounds warm up.
    if (round >= 2) nanoseconds[name].push(spent);
  }
}

const parsed = parseRules([], RULE_TEXTS);
const setMilliseconds: number[] = [];
for (let round = 0; round < ROUNDS + 2; round++) {
  const spent = measure(() => contestants.stateful.setRules(parsed)) / 1e6;
  if (round >= 2) setMilliseconds.push(spent);
}

const collect = (globalThis as { gc?: () => void }).gc;
collect?.();
const before = process.memoryUsage().heapUsed;
judge(contestants.stateful, HEAP_FRAMES);
const heapBytes = process.memoryUsage().heapUsed - before;
const { flows } = contestants.stateful;
console.log(JSON.stringify({ nanoseconds, flows, setMilliseconds, passed, heapBytes, heapFrames: HEAP_FRAMES }));
