/**
 * What the express lane is worth to IPv6: a guest behind an attached softnet with it and without, and unfiltered, and by IPv4 with the
 * lane beside it; over links that carry large frames and over plain ones. One and four TCP connections each way. Part of
 * `npm run bench`, where root and iperf3 are there; `node bench/express-lane-6.ts` runs this part alone.
 */
import { needs, needsRoot } from "../test/support/tools.ts";
import { attachedPath, attachedPath6, unfilteredPath, unfilteredPath6 } from "./paths.ts";
import { compareTransfers, type Group } from "./transfers.ts";

const ROWS: Group["rows"] = [
  ["unfiltered, IPv6", unfilteredPath6],
  ["softnet attach, IPv6", attachedPath6],
  ["softnet, IPv6, no lane", attachedPath6, ["--no-express-lane"]],
  ["unfiltered, IPv4", unfilteredPath],
  ["softnet attach, IPv4", attachedPath],
];

const GROUPS: readonly Group[] = [
  {
    title: "The express lane with IPv6, links that carry large frames; parts of unfiltered IPv6",
    plain: false,
    rows: ROWS,
  },
  {
    title: "The express lane with IPv6, plain links: 1,514 bytes at most; parts of unfiltered IPv6",
    plain: true,
    rows: ROWS,
  },
];

/** Prints the section, or in one line why there is none. */
export async function expressLane6(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "ping"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nThe express lane with IPv6 is left out: ${skip}`);
  await compareTransfers(GROUPS);
}

if (import.meta.main) await expressLane6();
