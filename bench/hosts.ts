/**
 * Many VMs with networks of their own on one host: what each costs in memory and while nothing happens, what a packet of
 * the host's pays for them, and how fast many come up at once. `node bench/hosts.ts [most]`; part of `npm run bench` where
 * root and nft are there. `node bench/hosts.ts [most] everything`: the same with IPv6, a list of names, limits, and attached
 * to cards, so that the express lane is on where the kernel has it.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { helperOf } from "../test/lab/harness/nat.ts";
import type { Program } from "../test/lab/harness/program.ts";
import { softnetCommand } from "../test/lab/harness/softnet.ts";
import { INTERNET, Lab } from "../test/lab/harness/topology.ts";
import { needs, needsRoot } from "../test/support/tools.ts";
import { compile } from "./processes.ts";
import { show, spread } from "./statistics.ts";

const COUNTS = [0, 1, 20, 60] as const;
const AT_ONCE = 50;
const ROUNDS = 7;
const SECONDS = 1;
const IDLE_SECONDS = 60;
/** Of softnets that start at the same time. */
const PATIENCE = 120_000;
/** In /proc/PID/stat: USER_HZ, which every architecture that Node runs on has at 100. */
const TICKS = 100;

/** A host with that many VMs, and where small packets are sent from: by itself, and through it. */
interface Measured {
  readonly lab: Lab;
  readonly softnets: readonly Program[];
  readonly sent: number[];
  readonly forwarded: number[];
}

type Kind = "nat" | "everything";

let made = 0;

/** A job's list, longer than most. */
const NAMES = Array.from({ length: 100 }, (_, index) => `host-${index}.example.com`).join();
const EVERYTHING = ["--vm-net-type", "nat", "--ipv6", "--only", NAMES, "--limit", "out 1G/s, flows 500/s"];

/** Starts softnets on a host, all at once. Returns them, and the milliseconds until the last one forwards. */
async function start(lab: Lab, count: number, kind: Kind): Promise<{ softnets: Program[]; milliseconds: number }> {
  if (kind === "everything") addCards(lab, count);
  const begin = performance.now();
  const softnets = Array.from({ length: count }, () => {
    const number = ++made;
    const mac = `7e:1a:02:00:${hex(number >> 8)}:${hex(number & 255)}`;
    const own = ["--vm-mac-address", mac, "--dns", INTERNET];
    const words = kind === "nat" ? ["--vm-tap", `b${number}`, ...own] : ["attach", `b${number}`, ...own, ...EVERYTHING];
    const [command, ...args] = softnetCommand(words);
    return lab.start(lab.host, command!, args, { label: `softnet ${number}` });
  });
  await Promise.all(softnets.map((softnet) => softnet.line(/message=started/, PATIENCE)));
  return { softnets, milliseconds: performance.now() - begin };
}

/** The cards of the VMs that are started next, up on the host, with their other ends in one namespace. */
function addCards(lab: Lab, count: number): void {
  const guests = lab.namespace("guests");
  const numbers = Array.from({ length: count }, (_, index) => made + index + 1);
  lab.host.ipBatch(
    numbers.flatMap((number) => [
      `link add b${number} type veth peer name g${number} netns ${guests.name}`,
      `link set b${number} up`,
    ]),
  );
  guests.ipBatch(numbers.map((number) => `link set g${number} up`));
}

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");

/** Megabytes of a process, with its part of what it shares with others. */
function proportional(pid: number): number {
  const kilobytes = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1];
  return Number(kilobytes) / 1000;
}

/** Seconds that all threads of a process have worked. */
function worked(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const fields = readFileSync(`/proc/${pid}/task/${thread}/stat`, "latin1")
      .replace(/^.*\) /, "")
      .split(" ");
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS;
  }, 0);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Prints the section, or in one line why there is none. */
export async function hosts(most = 60, kind: Kind = "nat"): Promise<void> {
  const { skip } = { ...needs("ip", "nft"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nMany VMs on a host are left out: ${skip}`);
  const { packets } = compile("packets");
  const measured: Measured[] = [];
  try {
    for (const count of new Set([...COUNTS.filter((each) => each <= most), most])) {
      const lab = new Lab();
      const { softnets } = await start(lab, count, kind);
      measured.push({ lab, softnets, sent: [], forwarded: [] });
    }
    await tellPackets(measured, packets!);
    await tellCost(measured);
    for (const { lab } of measured) lab.close();
    await tellStarts(Math.min(AT_ONCE, most), kind);
  } finally {
    for (const { lab } of measured) lab.close();
  }
}

async function tellPackets(measured: readonly Measured[], packets: string): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    for (const { lab, sent, forwarded } of measured) {
      const args = [INTERNET, "9", String(SECONDS)];
      sent.push(Number((await lab.host.run(packets, args)).stdout));
      forwarded.push(Number((await lab.neighbour.run(packets, args)).stdout));
    }
  }
  const ratio = (one: readonly number[], other: readonly number[]): string =>
    show(spread(one.map((value, round) => value / other[round]!)), 2);
  console.log("\nSmall packets of the host's, to none with a VM: sent; forwarded");
  for (const { softnets, sent, forwarded } of measured.slice(1)) {
    const [none] = measured;
    console.log(`  ${softnets.length} VMs: ${ratio(sent, none!.sent)}; ${ratio(forwarded, none!.forwarded)}`);
  }
  const one = measured[1];
  const last = measured.at(-1);
  if (one === undefined || last === undefined || one === last) return;
  console.log(
    `  ${last.softnets.length} VMs to 1: ${ratio(last.sent, one.sent)}; ${ratio(last.forwarded, one.forwarded)}`,
  );
}

async function tellCost(measured: readonly Measured[]): Promise<void> {
  console.log("\nEach VM with its part of the helper: memory; of a core while nothing happens");
  for (const { lab, softnets } of measured.slice(1)) {
    const pids = [...softnets.map(({ pid }) => pid), helperOf(lab.host)!];
    const before = sum(pids.map(worked));
    await sleep(IDLE_SECONDS * 1000);
    const idle = (sum(pids.map(worked)) - before) / IDLE_SECONDS / softnets.length;
    const memory = sum(pids.map(proportional)) / softnets.length;
    console.log(`  ${softnets.length} VMs: ${memory.toFixed(1)} MB; ${(idle * 100).toFixed(3)} %`);
  }
}

async function tellStarts(count: number, kind: Kind): Promise<void> {
  const lab = new Lab();
  try {
    const { softnets, milliseconds } = await start(lab, count, kind);
    const pids = [...softnets.map(({ pid }) => pid), helperOf(lab.host)!];
    const memory = sum(pids.map(proportional)) / count;
    console.log(
      `\n${count} started at once: all forward after ${(milliseconds / 1000).toFixed(1)} s, ${memory.toFixed(1)} MB each`,
    );
  } finally {
    lab.close();
  }
}

if (process.argv[1]?.endsWith("/hosts.ts"))
  await hosts(Number(process.argv[2] ?? 60), process.argv[3] === "everything" ? "everything" : "nat");
