/**
 * One TCP connection of a guest, up and down, through softnet, through passt and unfiltered (paths.ts). Part of `npm run
 * bench`, where root, iperf3, nft and passt are there; `node bench/throughput.ts` runs this part alone.
 */
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { INTERNET } from "../test/lab/harness/topology.ts";
import { needs, needsRoot } from "../test/support/tools.ts";
import { attachedPath, bridgePath, natPath, type Path, passtPath, unfilteredPath } from "./paths.ts";
import { compile, cpuTime } from "./processes.ts";
import { show, spread } from "./statistics.ts";

const ROUNDS = 5;
const SECONDS = 2;
/** How many seconds more a transfer may take, on a machine that has other work. */
const PATIENCE = 10;
/** Milliseconds before each round. */
const PAUSE = 500;
export const DIRECTIONS = ["up", "down"] as const;
/** In /proc/stat: USER_HZ, which every architecture that Node runs on has at 100. */
const TICKS = 100;

export type Direction = (typeof DIRECTIONS)[number];

/** What one transfer was and cost. */
export interface Sample {
  /** Gbit/s of TCP payload. */
  readonly rate: number;
  /** CPU seconds per gigabyte (10^9 bytes) of each forwarder, and of the whole machine. */
  readonly forwarders: readonly number[];
  readonly machine: number;
}

interface Measured {
  readonly path: Path;
  readonly up: Sample[];
  readonly down: Sample[];
}

/** Prints the section, or in one line why there is none. */
export async function throughput(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "nft", "passt", "setpriv"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nThroughput of a guest is left out: ${skip}`);
  const helpers = compile("cable", "plain");
  const measured: Measured[] = [];
  const others: number[] = [];
  try {
    for (const open of [natPath, bridgePath, attachedPath, passtPath, unfilteredPath]) {
      measured.push({ path: await open(helpers, { plain: true }), up: [], down: [] });
    }
    for (const { path } of measured) await serve(path);
    for (const direction of DIRECTIONS) for (const { path } of measured) await transfer(path, direction, 1);
    for (let round = 0; round < ROUNDS; round++) {
      others.push(await otherWork());
      for (const direction of DIRECTIONS) {
        for (const one of measured) one[direction].push(await transfer(one.path, direction, SECONDS));
      }
    }
  } catch (error) {
    for (const { path } of measured) path.lab.tell((line) => console.error(line));
    throw error;
  } finally {
    for (const { path } of measured) path.lab.close();
    helpers.remove();
  }
  report(measured, others);
}

export async function serve({ lab }: Path): Promise<void> {
  await lab.start(lab.internet, "iperf3", ["-s", "--forceflush"]).line(/Server listening/);
}

/** Some TCP connections for so many seconds, and what they cost in CPU time. */
export async function transfer(
  { name, guest, server = INTERNET, forwarders }: Path,
  direction: Direction,
  seconds: number,
  streams = 1,
): Promise<Sample> {
  const way = direction === "down" ? ["-R"] : [];
  const args = ["-c", server, "-t", String(seconds), "-P", String(streams), "-J", ...way];
  const before = forwarders.map(({ pid }) => cpuTime(pid));
  const machineBefore = machineTime();
  const { code, stdout, stderr } = await guest.run("iperf3", args, (seconds + PATIENCE) * 1000).catch((cause) => {
    throw new Error(`${name}, ${direction}: iperf3 does not end; the path is dead`, { cause });
  });
  const machine = machineTime() - machineBefore;
  const used = forwarders.map(({ pid }, index) => (cpuTime(pid) - before[index]!) / 1e9);
  const received = code === 0 ? JSON.parse(stdout).end.sum_received : undefined;
  if (!received?.bytes) throw new Error(`${name}, ${direction}: iperf3 ended with ${code}: ${stdout}${stderr}`);
  const gigabytes = received.bytes / 1e9;
  return {
    rate: received.bits_per_second / 1e9,
    forwarders: used.map((time) => time / gigabytes),
    machine: machine / gigabytes,
  };
}

/** Seconds that all processors were busy, for whomever: user, nice, system, interrupts (proc(5), /proc/stat). */
export function machineTime(): number {
  const [, user, nice, system, , , irq, softirq] = readFileSync("/proc/stat", "utf8").split("\n")[0]!.split(/ +/);
  return [user, nice, system, irq, softirq].reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS;
}

/** Which part of the machine, in percent, is busy while nothing is transferred. */
export async function otherWork(): Promise<number> {
  const [begin, before] = [performance.now(), machineTime()];
  await sleep(PAUSE);
  return (((machineTime() - before) * 1000) / (performance.now() - begin) / cpus().length) * 100;
}

function report(measured: readonly Measured[], others: readonly number[]): void {
  const rounds = `medians of ${ROUNDS} rounds of ${SECONDS} s, with quartiles`;
  console.log(`\nThroughput, one TCP connection of a guest (iperf3); ${rounds}`);
  const unfiltered = measured.at(-1)!;
  for (const direction of DIRECTIONS) {
    const title = direction === "up" ? "Upload" : "Download";
    console.log(`${title.padEnd(29)}Gbit/s               of unfiltered  CPU s/GB forwarder    CPU s/GB whole machine`);
    for (const one of measured) {
      const samples = one[direction];
      const ratio = spread(samples.map(({ rate }, round) => rate / unfiltered[direction][round]!.rate)).median;
      const own = samples.map(({ forwarders }) => forwarders.reduce((sum, time) => sum + time, 0));
      const columns = [
        `  ${one.path.name}`.padEnd(29),
        show(spread(samples.map(({ rate }) => rate)), 2).padEnd(21),
        ratio.toFixed(2).padEnd(15),
        (one.path.forwarders.length === 0 ? "none" : show(spread(own), 2)).padEnd(22),
        show(spread(samples.map(({ machine }) => machine)), 2),
      ];
      console.log(columns.join(""));
    }
  }
  notes(measured, others);
}

function notes(measured: readonly Measured[], others: readonly number[]): void {
  // The only path with two forwarders: passt and its cable.
  const { up, down } = measured.find(({ path }) => path.forwarders.length === 2)!;
  const cable = [up, down].map((samples) => spread(samples.map(({ forwarders }) => forwarders[1]!)).median.toFixed(2));
  const lines = [
    "MTU 1500 in every row, plain links: none carries more than 1,514 bytes at once or leaves out a checksum.",
    `passt speaks on a socket only: a C program moves its frames from and to the TAP, ${cable.join(" up, ")} down of its CPU s/GB.`,
    "The forwarder's CPU time has in it what the kernel does in its calls: routing, NAT, delivery. The whole machine's has in",
    "it guest, server and all other work; it alone compares with unfiltered, where only the kernel forwards.",
    `Other work kept the machine ${show(spread(others))} % busy before each round.`,
  ];
  for (const line of lines) console.log(`  ${line}`);
}

if (import.meta.main) await throughput();
