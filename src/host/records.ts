/** What an earlier helper left of forwarding, from the tables that keep it (ip-forwarding.ts, ipv6-forwarding.ts). */
import { spawnSync } from "node:child_process";
import { PROGRAM_TIMEOUT } from "../system-program.ts";
import { DESPITE_ALL, type IpForwardingRecord, RECORD_NAME } from "./ip-forwarding.ts";
import { type IPv6ForwardingRecord, RAISED, RECORD6_NAME, ROUTERS, SETTLED } from "./ipv6-forwarding.ts";

interface ListedSet {
  readonly name: string;
  readonly elem?: readonly unknown[];
}

/** `nft`: the program's path. Undefined where there is no record. */
export function readRecord(nft: string): IpForwardingRecord | undefined {
  const sets = readSets(nft, RECORD_NAME);
  return sets && { opened: namesIn(sets, "opened"), despiteAll: sets.some(({ name }) => name === DESPITE_ALL) };
}

export function readRecord6(nft: string): IPv6ForwardingRecord | undefined {
  const sets = readSets(nft, RECORD6_NAME);
  return (
    sets && {
      raised: namesIn(sets, RAISED),
      routers: namesIn(sets, ROUTERS),
      settled: sets.some(({ name }) => name === SETTLED),
    }
  );
}

function readSets(nft: string, table: string): ListedSet[] | undefined {
  const { stdout } = spawnSync(nft, ["-j", "list", "table", "inet", table], {
    env: {},
    encoding: "utf8",
    timeout: PROGRAM_TIMEOUT,
  });
  try {
    const { nftables } = JSON.parse(stdout) as { nftables: readonly { readonly set?: ListedSet }[] };
    return nftables.flatMap(({ set }) => set ?? []);
  } catch {
    return undefined;
  }
}

function namesIn(sets: readonly ListedSet[], set: string): string[] {
  const elements = sets.find(({ name }) => name === set)?.elem ?? [];
  return elements.filter((element) => typeof element === "string");
}
