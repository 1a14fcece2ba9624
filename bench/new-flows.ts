/**
 * What a VM that opens more new flows than softnet can judge costs a neighbour on the same bridge whose flows pass in the express lane:
 * while nobody floods, while a VM behind a softnet of its own does, and while an unfiltered one does. One machine has them all, so what
 * the flooder and its softnet take of the processors is in the figures: where softnet has the lowest priority, that part is small. Part of `npm run bench`, where root and iperf3 are there;
 * `node bench/new-flows.ts` runs this part alone.
 */
import { readdirSync } from "node:fs";
import { setPriority } from "node:os";
import { attachedGuest } from "../test/lab/harness/attached.ts";
import { Guest } from "../test/lab/harness/guest.ts";
import type { Program } from "../test/lab/harness/program.ts";
import { INTERNET, Lab, tool } from "../test/lab/harness/topology.ts";
import { needs, needsRoot } from "../test/support/tools.ts";
import type { Path } from "./paths.ts";
import { compile, cpuTime } from "./processes.ts";
import { show, spread } from "./statistics.ts";
import { DIRECTIONS, otherWork, serve, transfer } from "./throughput.ts";

const ROUNDS = Number(process.env.SOFTNET_BENCH_ROUNDS ?? 9);
const SECONDS = 1;
const REQUESTS = "3000";
const PORT = "7000";
const PATIENCE = 30_000;
/** New flows a second: the same from whichever VM, since what the VM itself takes of the processors is not softnet's. */
const RATE = 30_000;

interface Row {
  readonly title: string;
  /** Stopped but for this row's measures. */
  readonly flood?: Program;
  /** The flooder's softnet. */
  readonly softnet?: number;
  readonly up: number[];
  readonly down: number[];
  readonly median: number[];
  readonly tail: number[];
  /** Processors that the flooder's softnet kept busy. */
  readonly busy: number[];
}

const rowOf = (title: string, flood?: Program, softnet?: number): Row => ({
  title,
  ...(flood !== undefined && { flood }),
  ...(softnet !== undefined && { softnet }),
  up: [],
  down: [],
  median: [],
  tail: [],
  busy: [],
});

/** Prints the section, or in one line why there is none. */
export async function newFlows(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "setpriv", "python3"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nA neighbour that floods is left out: ${skip}`);
  const programs = compile("requests");
  const lab = new Lab();
  const others: number[] = [];
  try {
    const neighbour = await attachedGuest(lab, "10.77.0.21");
    const flooder = await attachedGuest(lab, "10.77.0.22");
    const meek = await attachedGuest(lab, "10.77.0.24");
    yieldProcessors(meek.softnet!.program.pid);
    const free = await Guest.create(lab, {
      bare: true,
      link: "free",
      mac: "02:00:00:00:00:13",
      address: "10.77.0.23/24",
    });
    const path: Path = { name: "the neighbour", lab, guest: neighbour.namespace, forwarders: [] };
    await serve(path);
    await lab.start(lab.internet, programs.requests, ["serve", INTERNET, PORT]).line(/^ready$/);
    const rows = [
      rowOf("nobody floods"),
      rowOf("a VM behind softnet floods", await floodFrom(flooder), flooder.softnet!.program.pid),
      rowOf("the same, softnet at nice 19", await floodFrom(meek), meek.softnet!.program.pid),
      rowOf("an unfiltered VM floods", await floodFrom(free)),
    ];
    for (const direction of DIRECTIONS) await transfer(path, direction, SECONDS);
    for (let round = 0; round < ROUNDS; round++) {
      others.push(await otherWork());
      for (const row of rows) await measure(row, path, programs.requests);
    }
    report(rows, others);
  } catch (error) {
    lab.tell((line) => console.error(line));
    throw error;
  } finally {
    lab.close();
    programs.remove();
  }
}

/** Gives a process the lowest priority: each of its threads has its own. */
function yieldProcessors(pid: number): void {
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), 19);
}

async function floodFrom(guest: Guest): Promise<Program> {
  const flood = guest.start("python3", [tool("new_flows.py"), INTERNET, String(RATE)]);
  await flood.line(/^begun$/);
  flood.signal("SIGSTOP");
  return flood;
}

async function measure(
  { flood, softnet, up, down, median, tail, busy }: Row,
  path: Path,
  program: string,
): Promise<void> {
  flood?.signal("SIGCONT");
  const [begin, used] = [performance.now(), softnet === undefined ? 0 : cpuTime(softnet)];
  up.push((await transfer(path, "up", SECONDS)).rate);
  down.push((await transfer(path, "down", SECONDS)).rate);
  const { code, stdout, stderr } = await path.guest.run(program, ["ask", INTERNET, PORT, REQUESTS], PATIENCE);
  if (softnet !== undefined) busy.push((cpuTime(softnet) - used) / 1e6 / (performance.now() - begin));
  flood?.signal("SIGSTOP");
  if (code !== 0) throw new Error(`requests: ${stderr}`);
  const [half, most] = stdout.split(" ").map(Number);
  median.push(half!);
  tail.push(most!);
}

function report(rows: readonly Row[], others: readonly number[]): void {
  console.log(
    `\nThe express lane beside a flood of ${RATE} new flows a second; medians of ${ROUNDS} rounds of ${SECONDS} s, with quartiles`,
  );
  console.log(
    "".padEnd(31) +
      ["up, Gbit/s; of quiet", "down, Gbit/s; of quiet", "a request, p50 µs", "p99 µs"]
        .map((text) => text.padEnd(27))
        .join(""),
  );
  const [quiet] = rows;
  for (const row of rows) {
    const rate = (way: "up" | "down"): string => {
      const part = spread(row[way].map((value, round) => value / quiet![way][round]!)).median;
      return `${show(spread(row[way]), 1)}; ${part.toFixed(2)}`;
    };
    const columns = [rate("up"), rate("down"), show(spread(row.median)), show(spread(row.tail))];
    console.log(`  ${row.title}`.padEnd(31) + columns.map((text) => text.padEnd(27)).join(""));
    if (row.busy.length > 0) console.log(`    its softnet keeps ${show(spread(row.busy), 2)} processors busy`);
  }
  console.log(`  Other work kept the machine ${show(spread(others))} % busy before each round.`);
}

if (import.meta.main) await newFlows();
