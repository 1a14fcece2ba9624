/**
 * How exactly limits hold: one TCP connection of a guest on a bridge, each way, under limits from slow to fast, as parts of the limit; and what
 * a flood under a limit does to a request of the same VM. Part of `npm run bench`, where root and iperf3 are there; `node
 * bench/limits.ts` runs this part alone.
 */
import { needs, needsRoot } from "../test/support/tools.ts";
import { bridgePath, type Path } from "./paths.ts";
import { compile } from "./processes.ts";
import { show, spread } from "./statistics.ts";
import { DIRECTIONS, otherWork, serve, transfer } from "./throughput.ts";

const ROUNDS = Number(process.env.SOFTNET_BENCH_ROUNDS ?? 5);
const SECONDS = 3;
/** Bytes a second; over links that carry large frames where plain ones do not carry as much. */
const LIMITS = ["1M", "10M", "50M", "200M", "500M"] as const;
const PLAIN = ["1M", "10M", "50M"];
const FACTORS: Readonly<Record<string, number>> = { K: 1e3, M: 1e6 };
/** Of what TCP carries in a frame of 1,514 bytes. */
const PAYLOAD = 1448 / 1514;

/** Prints the section, or in one line why there is none. */
export async function limits(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "nft", "setpriv"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nLimits are left out: ${skip}`);
  const programs = compile("cable", "plain");
  const paths: Path[] = [];
  const others: number[] = [];
  try {
    for (const limit of LIMITS) {
      const args = ["--limit", `out ${limit}/s, in ${limit}/s`];
      const path = await bridgePath(programs as never, { plain: PLAIN.includes(limit), args });
      paths.push(path);
      await serve(path);
    }
    const rates = LIMITS.map(() => ({ up: [] as number[], down: [] as number[] }));
    for (let round = 0; round < ROUNDS; round++) {
      others.push(await otherWork());
      for (const [index, path] of paths.entries()) {
        for (const direction of DIRECTIONS) {
          const { rate } = await transfer(path, direction, SECONDS);
          rates[index]![direction].push(rate);
        }
      }
    }
    console.log(`\nLimits: one TCP connection; medians of ${ROUNDS} rounds of ${SECONDS} s, with quartiles`);
    console.log("  limit, bytes a second      up, of what the limit lets TCP carry  down");
    for (const [index, limit] of LIMITS.entries()) {
      const gigabits = (Number.parseFloat(limit) * FACTORS[limit.at(-1)!]! * 8 * PAYLOAD) / 1e9;
      const part = (of: readonly number[]): string => show(spread(of.map((rate) => rate / gigabits)), 2);
      console.log(`  ${limit.padEnd(26)}${part(rates[index]!.up).padEnd(38)}${part(rates[index]!.down)}`);
    }
    console.log(`  Other work kept the machine ${show(spread(others))} % busy before each round.`);
  } finally {
    for (const { lab } of paths) lab.close();
    programs.remove();
  }
}

if (import.meta.main) await limits();
