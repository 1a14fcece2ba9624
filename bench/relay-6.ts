/**
 * What IPv6 costs the relay: CPU time of a frame of IPv4 without `--ipv6`, of IPv4 with it, and of IPv6, each way, beside the
 * first of these once more, which shows how far two processes of the same kind lie apart. The processes are started anew a few
 * times, because one and the same program is compiled a little differently each time. Part of `npm run bench`; `node
 * bench/relay-6.ts` runs this part alone, and SOFTNET_BENCH_ROUNDS says how many rounds each of the processes plays.
 */
import { frame6Of, frame6To, frameOf, frameTo, VM_ADDRESS, VM_ADDRESS_6, VM_MAC } from "./frames.ts";
import * as processes from "./processes.ts";
import { type Load, relay } from "./relay.ts";
import { show, spread } from "./statistics.ts";

const ROUNDS = Number(process.env.SOFTNET_BENCH_ROUNDS ?? 5);
const STARTS = 5;
const SIZES = [64, 1514];

const OFF = ["--vm-ip-address", VM_ADDRESS];
const ON = ["--ipv6", "--vm-ip-address", `${VM_ADDRESS},${VM_ADDRESS_6}`];

interface Row {
  readonly name: string;
  readonly args: readonly string[];
  readonly family: 4 | 6;
  /** What the row's part of the first one shall not exceed. */
  readonly goal?: number;
}

const ROWS: readonly Row[] = [
  { name: "IPv4 without --ipv6", args: OFF, family: 4 },
  { name: "the same again", args: OFF, family: 4 },
  { name: "IPv4 with --ipv6", args: ON, family: 4, goal: 1.03 },
  { name: "IPv6 with --ipv6", args: ON, family: 6, goal: 1.25 },
];

const FRAMES = {
  4: { vm: frameOf, network: frameTo },
  6: { vm: frame6Of, network: frame6To },
} as const;

function compared(row: Row, size: number, side: Load["side"]) {
  const fixed = [processes.PUBLISHED, "--vm-fd", "3", "--host-fd", "4", "--vm-mac-address", VM_MAC];
  const contestant = { ...row, command: process.execPath, args: [...fixed, ...row.args] };
  return { contestant, load: { frame: FRAMES[row.family][side](size), side } };
}

/** Prints the section. `loader`: the compiled native/load.c. */
export async function relay6(loader: string): Promise<void> {
  console.log(`What IPv6 costs the relay; medians of ${STARTS} starts of ${ROUNDS} rounds, with quartiles`);
  for (const side of ["vm", "network"] as const) {
    for (const size of SIZES) {
      const costs: number[][] = ROWS.map(() => []);
      for (let start = 0; start < STARTS; start++) {
        const all = await relay(
          loader,
          ROWS.map((row) => compared(row, size, side)),
          ROUNDS,
        );
        for (const [index, { cost }] of all.entries()) costs[index]!.push(...cost);
      }
      report(`${size}-byte frames ${side === "vm" ? "from" : "to"} the VM`, costs);
    }
  }
  console.log("");
}

function report(title: string, costs: readonly number[][]): void {
  console.log(`${title.padEnd(32)}CPU ns a frame         of the first`);
  for (const [index, { name, goal }] of ROWS.entries()) {
    const part = spread(costs[index]!.map((value, round) => value / costs[0]![round]!));
    const told = goal === undefined ? "" : ` (goal ${goal})`;
    console.log(`  ${name.padEnd(30)}${show(spread(costs[index]!)).padEnd(23)}${show(part, 2)}${told}`);
  }
}

if (import.meta.main) {
  const programs = processes.compile("load");
  try {
    await relay6(programs.load);
  } finally {
    programs.remove();
  }
}
