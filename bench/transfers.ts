/** One and four TCP connections each way over several paths, in interleaved rounds, and their rates and costs as parts of the first path's. */
import type { Helpers, Path, PathOptions } from "./paths.ts";
import { compile } from "./processes.ts";
import { show, spread } from "./statistics.ts";
import { DIRECTIONS, otherWork, type Sample, serve, transfer } from "./throughput.ts";

export const ROUNDS = Number(process.env.SOFTNET_BENCH_ROUNDS ?? 9);
/** Of a transfer. */
const SECONDS = 1;
const STREAMS = [1, 4] as const;

export type Open<Programs> = (programs: Programs, options: PathOptions) => Promise<Path>;

/** What is compared: unfiltered stands first, the others are told as parts of it. `Programs`: compiled, which the paths need. */
export interface Group<Programs = Helpers> {
  readonly title: string;
  /** No link carries large frames. */
  readonly plain: boolean;
  readonly rows: readonly (readonly [title: string, open: Open<Programs>, args?: readonly string[]])[];
}

/** A path, and its samples by measure, such as "up 1". */
export interface Transfers {
  readonly title: string;
  readonly path: Path;
  readonly transfers: Map<string, Sample[]>;
}

/** What is measured: "up 1", "down 1", "up 4", "down 4". */
export const MEASURES = STREAMS.flatMap((streams) => DIRECTIONS.map((direction) => ({ streams, direction })));
export const keyOf = ({ direction, streams }: (typeof MEASURES)[number]): string => `${direction} ${streams}`;

/** Starts the servers and lets each path move something. */
async function warmUp(rows: readonly Transfers[]): Promise<void> {
  for (const { path } of rows) await serve(path);
  for (const { path } of rows) for (const direction of DIRECTIONS) await transfer(path, direction, SECONDS);
}

/** Each measure over all paths, before the next one: what is compared lies close together. */
export async function playTransfers(rows: readonly Transfers[]): Promise<void> {
  for (const measure of MEASURES) {
    const key = keyOf(measure);
    for (const { path, transfers } of rows) {
      const sample = await transfer(path, measure.direction, SECONDS, measure.streams);
      transfers.set(key, [...(transfers.get(key) ?? []), sample]);
    }
  }
}

/** What is done with the paths of a comparison, besides opening and closing them. */
export interface Play<Row extends Transfers> {
  rowOf(opened: Transfers): Row;
  start(rows: readonly Row[]): Promise<void>;
  round(rows: readonly Row[]): Promise<void>;
}

/**
 * Opens all paths, plays all rounds, closes the paths and removes the programs; prints how busy the machine was beside it. Returns the
 * rows by group. When something fails it prints what the paths' programs have said, and throws.
 */
export async function playGroups<Programs extends { remove(): void }, Row extends Transfers>(
  compared: readonly Group<Programs>[],
  programs: Programs,
  play: Play<Row>,
): Promise<Row[][]> {
  const groups: Row[][] = [];
  const others: number[] = [];
  try {
    for (const { plain, rows } of compared) {
      const opened: Row[] = [];
      groups.push(opened);
      for (const [title, open, args = []] of rows) {
        opened.push(play.rowOf({ title, path: await open(programs, { plain, args }), transfers: new Map() }));
      }
    }
    const all = groups.flat();
    await play.start(all);
    await warmUp(all);
    for (let round = 0; round < ROUNDS; round++) {
      others.push(await otherWork());
      await play.round(all);
    }
  } catch (error) {
    for (const { path } of groups.flat()) path.lab.tell((line) => console.error(line));
    throw error;
  } finally {
    for (const { path } of groups.flat()) path.lab.close();
    programs.remove();
  }
  console.log(`\nOther work kept the machine ${show(spread(others))} % busy before each round.`);
  return groups;
}

/** Compares transfers alone, and prints each group. */
export async function compareTransfers(compared: readonly Group[]): Promise<void> {
  const programs = compile("cable", "plain");
  const play: Play<Transfers> = { rowOf: (opened) => opened, start: async () => {}, round: playTransfers };
  const groups = await playGroups(compared, programs, play);
  for (const [index, rows] of groups.entries()) reportTransfers(compared[index]!.title, rows);
}

export function reportTransfers(title: string, rows: readonly Transfers[]): void {
  console.log(`\n${title}; medians of ${ROUNDS} rounds of ${SECONDS} s, with quartiles`);
  const width = Math.max(27, ...rows.map((row) => row.title.length + 4));
  for (const measure of MEASURES) {
    const key = keyOf(measure);
    const { direction, streams } = measure;
    const floor = rows[0]!.transfers.get(key)!;
    const heading = `${direction}, ${streams} ${streams === 1 ? "connection" : "connections"}`;
    console.log(`${heading.padEnd(width)}Gbit/s               of unfiltered  CPU s/GB machine     of unfiltered`);
    for (const row of rows) {
      const samples = row.transfers.get(key)!;
      const part = (of: (sample: Sample) => number) =>
        spread(samples.map((sample, round) => of(sample) / of(floor[round]!))).median.toFixed(2);
      const columns = [
        `  ${row.title}`.padEnd(width),
        show(spread(samples.map(({ rate }) => rate)), 2).padEnd(21),
        part(({ rate }) => rate).padEnd(15),
        show(spread(samples.map(({ machine }) => machine)), 2).padEnd(21),
        part(({ machine }) => machine),
      ];
      console.log(columns.join(""));
    }
  }
}
