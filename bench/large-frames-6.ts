/**
 * Large frames of IPv6: a guest on a bridge behind softnet with them, without (`--no-offloads`) and unfiltered, and the same by
 * IPv4 beside it. One and four TCP connections each way, over links that carry large frames. Part of `npm run bench`, where root and
 * iperf3 are there; `node bench/large-frames-6.ts` runs this part alone.
 */
import { needs, needsRoot } from "../test/support/tools.ts";
import { bridgePath, bridgePath6, type Path, unfilteredPath, unfilteredPath6 } from "./paths.ts";
import { compile } from "./processes.ts";
import { show, spread } from "./statistics.ts";
import { DIRECTIONS, otherWork, type Sample, serve, transfer } from "./throughput.ts";

const ROUNDS = Number(process.env.SOFTNET_BENCH_ROUNDS ?? 9);
const SECONDS = 1;
const STREAMS = [1, 4] as const;

const PATHS = [
  ["unfiltered, IPv6", unfilteredPath6, []],
  ["softnet --ipv6, IPv6", bridgePath6, []],
  ["softnet, IPv6, whole frames", bridgePath6, ["--no-offloads"]],
  ["unfiltered, IPv4", unfilteredPath, []],
  ["softnet, IPv4", bridgePath, []],
] as const;

interface Row {
  readonly title: string;
  readonly path: Path;
  /** By measure, such as "up 1". */
  readonly samples: Map<string, Sample[]>;
}

/** Prints the section, or in one line why there is none. */
export async function largeFrames6(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "ping"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nLarge frames of IPv6 are left out: ${skip}`);
  const helpers = compile("cable", "plain");
  const rows: Row[] = [];
  const others: number[] = [];
  try {
    for (const [title, open, args] of PATHS) {
      rows.push({ title, path: await open(helpers, { plain: false, args }), samples: new Map() });
    }
    for (const { path } of rows) await serve(path);
    for (const { path } of rows) for (const direction of DIRECTIONS) await transfer(path, direction, SECONDS);
    for (let round = 0; round < ROUNDS; round++) {
      others.push(await otherWork());
      await playRound(rows);
    }
  } catch (error) {
    for (const { path } of rows) path.lab.tell((line) => console.error(line));
    throw error;
  } finally {
    for (const { path } of rows) path.lab.close();
    helpers.remove();
  }
  report(rows, others);
}

async function playRound(rows: readonly Row[]): Promise<void> {
  for (const streams of STREAMS) {
    for (const direction of DIRECTIONS) {
      const key = `${direction} ${streams}`;
      for (const { path, samples } of rows) {
        const sample = await transfer(path, direction, SECONDS, streams);
        samples.set(key, [...(samples.get(key) ?? []), sample]);
      }
    }
  }
}

function report(rows: readonly Row[], others: readonly number[]): void {
  console.log(`\nLarge frames of IPv6; medians of ${ROUNDS} rounds of ${SECONDS} s, with quartiles`);
  const floor = rows[0]!.samples;
  for (const key of floor.keys()) {
    console.log(`${key.padEnd(31)}Gbit/s               of unfiltered  CPU s/GB machine     of unfiltered`);
    for (const { title, samples } of rows) {
      const all = samples.get(key)!;
      const part = (of: (sample: Sample) => number) =>
        spread(all.map((sample, round) => of(sample) / of(floor.get(key)![round]!))).median.toFixed(2);
      const columns = [
        `  ${title}`.padEnd(31),
        show(spread(all.map(({ rate }) => rate)), 2).padEnd(21),
        part(({ rate }) => rate).padEnd(15),
        show(spread(all.map(({ machine }) => machine)), 2).padEnd(21),
        part(({ machine }) => machine),
      ];
      console.log(columns.join(""));
    }
  }
  console.log(`  Unfiltered is IPv6's. Other work kept the machine ${show(spread(others))} % busy before each round.`);
}

if (import.meta.main) await largeFrames6();
