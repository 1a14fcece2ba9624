/**
 * Large frames of IPv6: a guest on a bridge behind softnet with them, without (`--no-offloads`) and unfiltered, and the same by
 * IPv4 beside it. One and four TCP connections each way, over links that carry large frames. Part of `npm run bench`, where root and
 * iperf3 are there; `node bench/large-frames-6.ts` runs this part alone.
 */
import { needs, needsRoot } from "../test/support/tools.ts";
import { bridgePath, bridgePath6, unfilteredPath, unfilteredPath6 } from "./paths.ts";
import { compareTransfers, type Group } from "./transfers.ts";

const GROUP: Group = {
  title: "Large frames of IPv6, parts of unfiltered IPv6",
  plain: false,
  rows: [
    ["unfiltered, IPv6", unfilteredPath6],
    ["softnet --ipv6, IPv6", bridgePath6],
    ["softnet, IPv6, whole frames", bridgePath6, ["--no-offloads"]],
    ["unfiltered, IPv4", unfilteredPath],
    ["softnet, IPv4", bridgePath],
  ],
};

/** Prints the section, or in one line why there is none. */
export async function largeFrames6(): Promise<void> {
  const { skip } = { ...needs("ip", "iperf3", "ping"), ...needsRoot() };
  if (skip !== undefined) return console.log(`\nLarge frames of IPv6 are left out: ${skip}`);
  await compareTransfers([GROUP]);
}

if (import.meta.main) await largeFrames6();
