/**
 * What large frames are worth: a guest behind softnet with them and without (`--no-offloads`, which is what softnet did
 * before it knew them), behind passt and unfiltered, over links that carry large frames and over plain ones. One and four
 * TCP connections each way, requests of one byte, and small datagrams. Part of `npm run bench`, where root, iperf3, nft and passt
 * are there; `node bench/large-frames.ts` runs this part alone.
 */
import { INTERNET } from "../test/lab/harness/topology.ts";
import { needs, needsRoot } from "../test/support/tools.ts";
import { bridgePath, type Helpers, natPath, type Path, type PathOptions, passtPath, unfilteredPath } from "./paths.ts";
import { compile } from "./processes.ts";
import { show, spread } from "./statistics.ts";
import { DIRECTIONS, machineTime, otherWork, type Sample, serve, transfer } from "./throughput.ts";

const ROUNDS = Number(process.env.SOFTNET_BENCH_ROUNDS ?? 9);
const SECONDS = 1;
const STREAMS = [1, 4] as const;
const REQUESTS = 3000;
const PORT = 7000;
/** Seconds that small datagrams are sent, and counted. */
const DATAGRAM_SECONDS = 1;
const PATIENCE = 30_000;

type Programs = Helpers & Record<"requests" | "datagrams" | "packets", string>;
type Open = (helpers: Helpers, options: PathOptions) => Promise<Path>;

interface Row {
  readonly title: string;
  readonly path: Path;
  /** By measure, such as "up 1". */
  readonly transfers: Map<string, Sample[]>;
  /** Microseconds: median and 99th percentile. */
  readonly medians: number[];
  readonly tails: number[];
  /** Thousands a second that arrived, which part of those sent, and microseconds of the machine for each that arrived. */
  readonly received: number[];
  readonly share: number[];
  readonly cost: number[];
}

const WITHOUT = ["--no-offloads"];

/** Unfiltered stands first in each group: the others are told as parts of it. */
const GROUPS: readonly { title: string; plain: boolean; rows: readonly (readonly [string, Open, string[]?])[] }[] = [
  {
    title: "Links that carry large frames",
    plain: false,
    rows: [
      ["unfiltered", unfilteredPath],
      ["softnet --bridge", bridgePath],
      ["softnet nat", natPath],
      ["softnet --bridge, before", bridgePath, WITHOUT],
      ["softnet nat, before", natPath, WITHOUT],
      ["passt, and its cable", passtPath],
    ],
  },
  {
    title: "Plain links: 1,514 bytes at most",
    plain: true,
    rows: [
      ["unfiltered", unfilteredPath],
      ["softnet --bridge", bridgePath],
      ["softnet --bridge, before", bridgePath, WITHOUT],
    ],
  },
];

/** Prints the section, or in one line why there is none. */
export async function largeFrames(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "nft", "passt", "setpriv"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nLarge frames are left out: ${skip}`);
  const programs = compile("cable", "plain", "requests", "datagrams", "packets");
  const groups: Row[][] = [];
  const others: number[] = [];
  try {
    for (const group of GROUPS) {
      const rows: Row[] = [];
      groups.push(rows);
      for (const [title, open, args = []] of group.rows) {
        rows.push(rowOf(title, await open(programs, { plain: group.plain, args })));
      }
    }
    const all = groups.flat();
    for (const { path } of all) await startServers(path, programs);
    for (const { path } of all) for (const direction of DIRECTIONS) await transfer(path, direction, SECONDS);
    for (let round = 0; round < ROUNDS; round++) {
      others.push(await otherWork());
      await playRound(all, programs);
    }
  } catch (error) {
    for (const { path } of groups.flat()) path.lab.tell((line) => console.error(line));
    throw error;
  } finally {
    for (const { path } of groups.flat()) path.lab.close();
    programs.remove();
  }
  for (const [index, rows] of groups.entries()) report(GROUPS[index]!.title, rows);
  console.log(`  Other work kept the machine ${show(spread(others))} % busy before each round.`);
}

const rowOf = (title: string, path: Path): Row => ({
  title,
  path,
  transfers: new Map(),
  medians: [],
  tails: [],
  received: [],
  share: [],
  cost: [],
});

async function startServers(path: Path, { requests }: Programs): Promise<void> {
  await serve(path);
  await path.lab.start(path.lab.internet, requests, ["serve", INTERNET, String(PORT)]).line(/^ready$/);
}

/** Each measure over all paths, before the next one: what is compared lies close together. */
async function playRound(rows: readonly Row[], programs: Programs): Promise<void> {
  for (const streams of STREAMS) {
    for (const direction of DIRECTIONS) {
      const key = `${direction} ${streams}`;
      for (const { path, transfers } of rows) {
        const sample = await transfer(path, direction, SECONDS, streams);
        transfers.set(key, [...(transfers.get(key) ?? []), sample]);
      }
    }
  }
  for (const row of rows) await askRequests(row, programs);
  for (const row of rows) await sendDatagrams(row, programs);
}

async function askRequests({ path, medians, tails }: Row, { requests }: Programs): Promise<void> {
  const args = ["ask", INTERNET, String(PORT), String(REQUESTS)];
  const { code, stdout, stderr } = await path.guest.run(requests, args, PATIENCE);
  if (code !== 0) throw new Error(`${path.name}: requests: ${stderr}`);
  const [median, tail] = stdout.split(" ").map(Number);
  medians.push(median!);
  tails.push(tail!);
}

/** Datagrams of 60 bytes on the wire, as fast as the guest can, upwards. */
async function sendDatagrams({ path, received, share, cost }: Row, programs: Programs): Promise<void> {
  const seconds = String(DATAGRAM_SECONDS);
  const counter = path.lab.start(path.lab.internet, programs.datagrams, [INTERNET, String(PORT), seconds]);
  await counter.line(/^ready$/);
  const before = machineTime();
  const { code, stdout, stderr } = await path.guest.run(programs.packets, [INTERNET, String(PORT), seconds], PATIENCE);
  if (code !== 0) throw new Error(`${path.name}: datagrams: ${stderr}`);
  const counted = Number(await counter.line(/^\d+$/));
  const used = machineTime() - before;
  received.push(counted / DATAGRAM_SECONDS / 1000);
  share.push(counted / (Number(stdout) * DATAGRAM_SECONDS));
  cost.push((used / counted) * 1e6);
}

function report(title: string, rows: readonly Row[]): void {
  const [unfiltered] = rows;
  console.log(`\n${title}; medians of ${ROUNDS} rounds of ${SECONDS} s, with quartiles`);
  for (const streams of STREAMS) {
    for (const direction of DIRECTIONS) {
      const key = `${direction} ${streams}`;
      const floor = unfiltered!.transfers.get(key)!;
      const heading = `${direction}, ${streams} ${streams === 1 ? "connection" : "connections"}`;
      console.log(`${heading.padEnd(27)}Gbit/s               of unfiltered  CPU s/GB machine     of unfiltered`);
      for (const row of rows) {
        const samples = row.transfers.get(key)!;
        const part = (of: (sample: Sample) => number) =>
          spread(samples.map((sample, round) => of(sample) / of(floor[round]!))).median.toFixed(2);
        const columns = [
          `  ${row.title}`.padEnd(27),
          show(spread(samples.map(({ rate }) => rate)), 2).padEnd(21),
          part(({ rate }) => rate).padEnd(15),
          show(spread(samples.map(({ machine }) => machine)), 2).padEnd(21),
          part(({ machine }) => machine),
        ];
        console.log(columns.join(""));
      }
    }
  }
  console.log(
    "requests of one byte       p50 µs               p99 µs               60-byte datagrams: 1,000/s; of those sent; µs each",
  );
  for (const { title: name, medians, tails, received, share, cost } of rows) {
    const columns = [
      `  ${name}`.padEnd(27),
      show(spread(medians), 1).padEnd(21),
      show(spread(tails), 0).padEnd(21),
      `${show(spread(received))}; ${show(spread(share), 2)}; ${show(spread(cost), 1)}`,
    ];
    console.log(columns.join(""));
  }
}

if (import.meta.main) await largeFrames();
