/**
 * The guard alone, in a process of its own with --expose-gc: nanoseconds a frame with 1,000 rules (or as many as the first argument says) and destinations all over
 * the address space, and what ten million frames (the second one) leave on the heap. The third one says of what: `ipv4`, the
 * same frames while IPv6 is on (`ipv4-beside`), or `ipv6`. Prints one JSON line.
 */
import { createGuard } from "../src/guard/guard.ts";
import { inlineMore } from "../src/relay/inlining.ts";
import { FrameView } from "../src/wire/frame-view.ts";
import { formatIPv6 } from "../src/wire/ipv6-address.ts";
import { frame6Of, frameOf, VM_ADDRESS, VM_ADDRESS_6, VM_MAC } from "./frames.ts";

inlineMore(); // as a session does

const RULES = Number(process.argv[2] ?? 1000);
const FRAMES = 1024;
const STRIDE = 2048;
const HEADROOM = 16;
const ROUNDS = 11;
const PER_ROUND = 2_000_000;
const HEAP_FRAMES = Number(process.argv[3] ?? 10_000_000);

const OF = process.argv[4] ?? "ipv4";

const block = Array.from({ length: RULES }, (_, i) => `${11 + (i % 100)}.${i % 256}.${(i * 7) % 256}.0/24`);
const block6 = Array.from({ length: RULES }, (_, i) => `${formatIPv6(address6(i, i * 7))}/48`);
const guard = createGuard({
  macAddress: VM_MAC,
  address: VM_ADDRESS,
  gateway: "192.168.64.1",
  block: OF === "ipv6" ? block6 : block,
  ...(OF !== "ipv4" && { ipv6: true, address6: VM_ADDRESS_6, router6: "fe80::1" }),
});
const bytes = new Uint8Array(FRAMES * STRIDE);
const lengths = new Uint32Array(FRAMES);
for (let index = 0; index < FRAMES; index++) {
  // Multiplicative hashing spreads the destinations; the upper byte stays within 1 … 126.
  const destination = (((1 + (index % 126)) << 24) | ((Math.imul(index, 2_654_435_761) >>> 8) & 0xffffff)) >>> 0;
  const destination6 = address6(Math.imul(index, 2_654_435_761) >>> 19, Math.imul(index, 2_654_435_761) >>> 8);
  const frame = OF === "ipv6" ? frame6Of(1514, destination6) : frameOf(1514, destination);
  bytes.set(frame, index * STRIDE + HEADROOM);
  lengths[index] = frame.length;
}

/** In 2000::/3, whose first 16 bits have `network` in them; rules and destinations are spread as IPv4's are. */
function address6(network: number, rest: number): bigint {
  return (BigInt(0x2000 + (network & 0x1fff)) << 112n) | (BigInt(rest & 0xffffff) << 88n) | BigInt(rest);
}

const view = new FrameView();
let time = 0;
let passed = 0;
function judge(count: number): void {
  for (let index = 0; index < count; index++) {
    const slot = index & (FRAMES - 1);
    if ((slot & 63) === 0) {
      time += 50;
      guard.advance(time);
    }
    view.read(bytes, slot * STRIDE + HEADROOM, lengths[slot]!);
    if (guard.judgeEgress(view) === 0) passed++;
  }
}

const nanoseconds: number[] = [];
for (let round = 0; round < ROUNDS + 2; round++) {
  const begin = process.hrtime.bigint();
  judge(PER_ROUND);
  // The first two warm up.
  if (round >= 2) nanoseconds.push(Number(process.hrtime.bigint() - begin) / PER_ROUND);
}
const collect = (globalThis as { gc?: () => void }).gc;
collect?.();
const before = process.memoryUsage().heapUsed;
judge(HEAP_FRAMES);
const grown = process.memoryUsage().heapUsed - before;
console.log(JSON.stringify({ nanoseconds, passed, heapBytes: grown, heapFrames: HEAP_FRAMES }));
