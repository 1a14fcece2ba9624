/**
 * What the express lane is worth: a guest behind an attached softnet with it and without, behind passt, behind the few rules of
 * nftables with which libvirt keeps a VM from spoofing, and unfiltered; over links that carry large frames and over plain
 * ones. Part of `npm run bench`, where root, iperf3, nft and passt are there; `node bench/express-lane.ts` runs this part alone.
 */
import { needs, needsRoot } from "../test/support/tools.ts";
import { compare, type Group } from "./comparison.ts";
import { attachedPath, filteredPath, passtPath, unfilteredPath } from "./paths.ts";

const ROWS: Group["rows"] = [
  ["unfiltered", unfilteredPath],
  ["nftables on the bridge", filteredPath],
  ["softnet attach", attachedPath],
  ["softnet, no lane", attachedPath, ["--no-express-lane"]],
];

const GROUPS: readonly Group[] = [
  {
    title: "The express lane, links that carry large frames",
    name: "lane-large",
    plain: false,
    rows: [...ROWS, ["passt", passtPath]],
  },
  { title: "The express lane, plain links: 1,514 bytes at most", name: "lane-plain", plain: true, rows: ROWS },
];

/** Prints the section, or in one line why there is none. */
export async function expressLane(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "nft", "passt", "setpriv"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nThe express lane is left out: ${skip}`);
  await compare(GROUPS);
}

if (import.meta.main) await expressLane();
