/**
 * What the part behind NAT needs beyond the rest (requirements.ts): nft and setpriv, and a kernel that takes rules such
 * as softnet's. Where that is missing the demo goes on without this part, and says why in one line.
 */
import { spawnSync } from "node:child_process";
import { findProgram } from "../host/system-program.ts";
import { ENVIRONMENT } from "./ip.ts";
import { Namespace } from "./namespace.ts";

const PATIENCE = 10_000; // milliseconds

/** Debian's names; the programs are looked for where softnet looks. */
const PROGRAMS = [
  ["nft", "nftables"],
  ["setpriv", "util-linux"],
] as const;

/** One rule of each kind that softnet needs, in a table that ends with nft (networks/nat/rules.ts). */
const SAMPLE = [
  "create table inet softnet_check { flags owner; }",
  "add chain inet softnet_check one { type filter hook forward priority 0; policy accept; }",
  "add rule inet softnet_check one ct state invalid,untracked drop",
  "add chain inet softnet_check two { type nat hook postrouting priority 100; policy accept; }",
  "add rule inet softnet_check two ip saddr 192.0.2.1 masquerade",
].join("; ");

/** The end of a sentence with the remedy; undefined where nothing is missing. */
export function whyNoNat(): string | undefined {
  for (const [program, source] of PROGRAMS) {
    try {
      findProgram(program, source);
    } catch {
      return `${program} is not installed; install it, on Debian with: apt-get install ${source}`;
    }
  }
  const error = trySample(findProgram("nft", "nftables"));
  if (error === undefined) return undefined;
  return `nft does not work here (${error}); it needs a kernel with nftables, 5.12 or newer, and: apt-get install nftables`;
}

/** nft's own words when it does not take the rules. */
function trySample(nft: string): string | undefined {
  const namespace = new Namespace("check");
  try {
    const { error, status, stderr } = spawnSync("ip", ["netns", "exec", namespace.name, nft, SAMPLE], {
      env: ENVIRONMENT,
      encoding: "utf8",
      timeout: PATIENCE,
    });
    if (error !== undefined) return error.message;
    return status === 0 ? undefined : stderr.trim().split("\n")[0] || `exit status ${status}`;
  } finally {
    namespace.delete();
  }
}
