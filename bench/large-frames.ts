/**
 * What large frames are worth: a guest behind softnet with them and without (`--no-offloads`, which is what softnet did
 * before it knew them), behind passt, behind a C program that looks at nothing, and unfiltered, over links that carry large frames and over plain ones. One and four
 * TCP connections each way, requests of one byte, and small datagrams. Part of `npm run bench`, where root, iperf3, nft and passt
 * are there; `node bench/large-frames.ts` runs this part alone.
 */
import { needs, needsRoot } from "../test/support/tools.ts";
import { compare, type Group } from "./comparison.ts";
import { bridgePath, floorPath, natPath, passtPath, unfilteredPath } from "./paths.ts";

const WITHOUT = ["--no-offloads"];

const GROUPS: readonly Group[] = [
  {
    title: "Links that carry large frames",
    name: "large-frames",
    plain: false,
    rows: [
      ["unfiltered", unfilteredPath],
      ["softnet --bridge", bridgePath],
      ["softnet nat", natPath],
      ["softnet --bridge, before", bridgePath, WITHOUT],
      ["softnet nat, before", natPath, WITHOUT],
      ["passt, and its cable", passtPath],
      ["a C program, no filter", floorPath],
    ],
  },
  {
    title: "Plain links: 1,514 bytes at most",
    name: "plain-links",
    plain: true,
    rows: [
      ["unfiltered", unfilteredPath],
      ["softnet --bridge", bridgePath],
      ["softnet --bridge, before", bridgePath, WITHOUT],
      ["a C program, no filter", floorPath],
    ],
  },
];

/** Prints the section, or in one line why there is none. */
export async function largeFrames(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "nft", "passt", "setpriv"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nLarge frames are left out: ${skip}`);
  await compare(GROUPS);
}

if (import.meta.main) await largeFrames();
