/** Which addresses and routes this Mac has, for choosing a subnet that nothing else uses. */

import { spawnSync } from "node:child_process";
import { networkInterfaces } from "node:os";
import type { HostState } from "../../host/subnet.ts";
import { type Cidr, parseCidr } from "../../policy/rule.ts";
import { PROGRAM_TIMEOUT } from "../../system-program.ts";

/** Part of macOS; by absolute path, never from PATH. */
const NETSTAT = "/usr/sbin/netstat";

/** Without netstat the routes are unknown: vmnet itself refuses what overlaps a network of its own. */
export function readMacState(): HostState {
  const networks = Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).flatMap(({ family, cidr }) =>
      family === "IPv4" && cidr !== null ? (parseCidr(cidr) ?? []) : [],
    ),
  );
  const { status, stdout } = spawnSync(NETSTAT, ["-rn", "-f", "inet"], {
    env: {},
    encoding: "utf8",
    timeout: PROGRAM_TIMEOUT,
    stdio: ["ignore", "pipe", "ignore"],
  });
  return { networks, routes: status === 0 ? routesOf(stdout) : [] };
}

/**
 * Pure: the destinations that netstat lists. It leaves zero bytes out: `10` is 10.0.0.0/8, `172.16/12`, `192.168.64` is
 * 192.168.64.0/24, four bytes without a length are one address, and `default` is no network.
 */
export function routesOf(text: string): Cidr[] {
  return text.split("\n").flatMap((line) => {
    const match = /^(\d{1,3}(?:\.\d{1,3}){0,3})(?:\/(\d{1,2}))?\s/.exec(line);
    if (match === null) return [];
    const bytes = match[1]!.split(".");
    const length = match[2] ?? String(8 * bytes.length);
    return parseCidr(`${[...bytes, "0", "0", "0"].slice(0, 4).join(".")}/${length}`) ?? [];
  });
}
