/**
 * What rules by name cost the relay: CPU time of a frame of connections that a name opened, with 1,000 names and 4,096 pairs,
 * beside that of the same connections under the same policy by address, in interleaved rounds; and what a lookup and the start
 * of a connection take through softnet. Part of `npm run bench`; `node bench/names.ts` runs this part alone, and
 * SOFTNET_BENCH_ROUNDS says how many rounds.
 */
import type { ChildProcess } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { helloFor } from "../test/guard/names/segments.ts";
import { VM_MAC } from "./frames.ts";
import { frameOfConnection, NameTalk, type Side } from "./name-talk.ts";
import * as processes from "./processes.ts";
import { show, spread } from "./statistics.ts";

const ROUNDS = Number(process.env.SOFTNET_BENCH_ROUNDS ?? 11);
const FRAMES = 100_000;
const NAMES = 1000;
/** As many names are looked up as a VM may without waiting, and each has as many addresses. */
const RESOLVED = 97;
const ADDRESSES = 43;
/** Of the addresses, those to which there is a connection. */
const CONNECTIONS = 256;
const FIRST_PORT = 30_000;
const TURNS = 50;
/** Milliseconds, for 20 lookups a second. */
const PAUSE = 60;
const LOADS: readonly (readonly [side: Side, length: number])[] = [
  ["vm", 64],
  ["vm", 1514],
  ["network", 1514],
];

const nameOf = (index: number): string => `host-${index}.bench.example`;
/** Of the public address space, and of 93.184.0.0/16. */
const addressOf = (index: number): number => (0x5db80000 | (index + 1)) >>> 0;

interface Running {
  readonly title: string;
  readonly child: ChildProcess;
  readonly wires: processes.Wires;
  readonly talk: NameTalk;
  readonly lookups: number[];
  readonly starts: number[];
  readonly spent: number[][];
}

export async function names(loader: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "softnet-bench-"));
  const hellos = await Promise.all(Array.from({ length: RESOLVED }, (_, index) => helloFor(nameOf(index))));
  const running: Running[] = [];
  try {
    chmodSync(folder, 0o755); // root's softnet becomes nobody, and reads as such
    for (const [title, lines] of [
      ["by address", ["allow out @dns:53", "block out 0.0.0.0/0", "allow out 93.184.0.0/16:443"]],
      ["by name", Array.from({ length: NAMES }, (_, index) => `only ${nameOf(index)}`)],
    ] as const) {
      const file = join(folder, title.replace(" ", "-"));
      writeFileSync(file, `${lines.join("\n")}\n`);
      running.push(start(title, file));
    }
    for (const { talk } of running) prepare(talk, hellos);
    for (let round = -1; round < ROUNDS; round++) for (const one of running) measureLoads(loader, one, round >= 0);
    const memory = running.map(({ child }) => processes.anonymousMemory(child.pid!));
    for (let turn = 0; turn < TURNS; turn++) {
      const inTurn = turn % 2 === 0 ? running : running.toReversed(); // the first one wakes the machine
      for (const one of inTurn) measureStart(one, turn, hellos);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    report(running, memory);
  } finally {
    for (const { child, wires } of running) {
      child.kill("SIGKILL");
      await processes.ended(child);
      wires.close();
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

function start(title: string, file: string): Running {
  const wires = processes.makeWires();
  const args = [processes.PUBLISHED, "--vm-fd", "3", "--host-fd", "4", "--vm-mac-address", VM_MAC, "--policy", file];
  const child = processes.start({ name: title, command: process.execPath, args }, wires);
  return { title, child, wires, talk: new NameTalk(wires), lookups: [], starts: [], spent: LOADS.map(() => []) };
}

/** The VM gets its address, looks its names up, and opens its connections. */
function prepare(talk: NameTalk, hellos: readonly Uint8Array[]): void {
  talk.bind();
  for (let name = 0; name < RESOLVED; name++) {
    const addresses = Array.from({ length: ADDRESSES }, (_, index) => addressOf(index * RESOLVED + name));
    const [question, answer] = talk.lookup(nameOf(name), addresses, name);
    talk.pass("vm", question);
    talk.pass("network", answer);
  }
  for (let index = 0; index < CONNECTIONS; index++) {
    const frames = talk.begin(addressOf(index), FIRST_PORT + index, hellos[index % RESOLVED]!);
    for (const [side, frame] of frames) talk.pass(side, frame);
  }
}

function measureLoads(loader: string, { child, wires, spent }: Running, counts: boolean): void {
  for (const [load, [side, length]] of LOADS.entries()) {
    const frames = new Uint8Array(CONNECTIONS * length);
    for (let index = 0; index < CONNECTIONS; index++)
      frames.set(frameOfConnection(side, addressOf(index), FIRST_PORT + index, length), index * length);
    const [vm, network] = wires.far;
    const before = processes.cpuTime(child.pid!);
    const far = side === "vm" ? wires.far : ([network, vm] as const);
    processes.load(loader, { far }, frames, FRAMES, 512, CONNECTIONS);
    if (counts) spent[load]!.push((processes.cpuTime(child.pid!) - before) / FRAMES);
  }
}

/** Microseconds through softnet: of a question and its answer, and of the frames with which a connection begins, up to the answer to its hello. */
function measureStart({ talk, lookups, starts }: Running, turn: number, hellos: readonly Uint8Array[]): void {
  const name = turn % RESOLVED;
  const [question, answer] = talk.lookup(nameOf(name), [addressOf(name)], 1000 + turn);
  lookups.push(
    microseconds(() => {
      talk.pass("vm", question);
      talk.pass("network", answer);
    }),
  );
  const frames = talk.begin(addressOf(name), FIRST_PORT + CONNECTIONS + turn, hellos[name]!);
  starts.push(
    microseconds(() => {
      for (const [side, frame] of frames) talk.pass(side, frame);
    }),
  );
}

function microseconds(action: () => void): number {
  const begin = performance.now();
  action();
  return (performance.now() - begin) * 1000;
}

function report(running: readonly Running[], memory: readonly number[]): void {
  const [byAddress, byName] = running as [Running, Running];
  const pairs = RESOLVED * ADDRESSES;
  console.log(`\nNames: ${NAMES} of them, ${pairs} pairs, ${CONNECTIONS} connections         CPU ns a frame`);
  for (const [load, [side, length]] of LOADS.entries()) {
    const of = `${length} bytes ${side === "vm" ? "from" : "to"} the VM`;
    for (const { title, spent } of running)
      console.log(`  ${`${of}, ${title}`.padEnd(42)} ${show(spread(spent[load]!))}`);
    const ratio = spread(byName.spent[load]!.map((value, round) => value / byAddress.spent[load]![round]!));
    console.log(`  ${"ratio".padEnd(42)} ${show(ratio, 2)} (goal 1.05)`);
  }
  for (const [what, goal, key] of [
    ["A lookup, both ways through softnet", "200 µs more", "lookups"],
    ["A connection's frames up to the answer to its hello", "1,000 µs more", "starts"],
  ] as const) {
    const [without, withNames] = [spread(byAddress[key]), spread(byName[key])];
    const more = withNames.median - without.median;
    console.log(
      `${what}: ${show(without)} µs by address, ${show(withNames)} µs by name; ${more.toFixed(0)} µs more (goal ${goal})`,
    );
  }
  const [before, after] = memory as [number, number];
  console.log(`Anonymous memory: ${before.toFixed(1)} MB by address, ${after.toFixed(1)} MB by name\n`);
}

if (import.meta.main) {
  const programs = processes.compile("load");
  try {
    await names(programs.load);
  } finally {
    programs.remove();
  }
}
