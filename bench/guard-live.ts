/**
 * The guard alone with flows, in a process of its own with --expose-gc: nanoseconds a frame of a stateful policy with 4,096
 * rules and 30,000 live flows beside those of a stateless guard without rules, in interleaved rounds over the same frames;
 * how long it takes to put 4,096 rules into force; and what ten million frames leave on the heap. Prints one JSON line.
 *
 * What a flow costs a relay is the difference of the two over the relay's whole cost of a frame (bench/main.ts, 64-byte
 * frames): the rest of that cost, the system calls, is the same in both.
 */
import { createGuard, type Guard } from "../src/guard/guard.ts";
import { parseRules } from "../src/policy/rule.ts";
import { frameOf, VM_ADDRESS, VM_MAC } from "./frames.ts";

const RULES = 4096;
const FLOWS = 30_000;
const STRIDE = 128;
const HEADROOM = 16;
const ROUNDS = 11;
const PER_ROUND = 2_000_000;
const HEAP_FRAMES = 10_000_000;
const BATCH = 64;
/** Prime to the number of flows. */
const PRIME = 7919;
/** Microseconds that a batch takes at two million frames a second. */
const BATCH_TIME = 32;

const options = { macAddress: VM_MAC, address: VM_ADDRESS, gateway: "192.168.64.1" };
const prefixes = Array.from({ length: RULES }, (_, i) => `${11 + (i % 100)}.${i % 256}.${(i * 7) % 256}.0/24`);
const rules = prefixes.map((prefix, i) => `${["", "in ", "out "][i % 3]}${prefix}${i % 2 === 0 ? `:${1 + i}` : ""}`);
const contestants = {
  stateless: createGuard(options),
  stateful: createGuard({ ...options, block: rules }),
};

// What passes in spite of the rules by itself.
const sieve = createGuard({ ...options, block: prefixes });

// UDP to 30,000 addresses all over the address space that no rule covers.
const bytes = new Uint8Array(FLOWS * STRIDE);
const lengths = new Uint32Array(FLOWS);
let frames = 0;
for (let index = 1; frames < FLOWS; index++) {
  const destination = (((1 + (index % 126)) << 24) | ((Math.imul(index, 2_654_435_761) >>> 8) & 0xffffff)) >>> 0;
  const frame = frameOf(64, destination);
  if (sieve.judgeEgress(frame, 0, frame.length) !== 0) continue;
  bytes.set(frame, frames * STRIDE + HEADROOM);
  lengths[frames++] = frame.length;
}
// The flows are opened in another order than they are used in, so that their places in memory follow no pattern.
for (let index = 0; index < FLOWS; index++) {
  const slot = (index * PRIME) % FLOWS;
  const at = slot * STRIDE + HEADROOM;
  for (const guard of Object.values(contestants)) {
    if (guard.judgeEgress(bytes, at, lengths[slot]!) !== 0) throw new Error(`frame ${slot} does not pass`);
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
    if (guard.judgeEgress(bytes, slot * STRIDE + HEADROOM, lengths[slot]!) === 0) passed++;
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

const parsed = parseRules([], rules);
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
