/**
 * A VM's own network whose policy changes while it runs. Its guard lets everything through that is no lie: what is closed
 * is closed by the network.
 *
 * Arguments: the VM's TAP, its MAC address, the subnet. Standard input: one policy a line, as JSON with `allow` and
 * `block`; `times` tells it that often at once, after as many others that allow everything or nothing; `odd` is told as it
 * is, whatever it is. It writes softnet's JSON log and ends with SIGINT, or with 1 when its network fails.
 */
import { createInterface } from "node:readline";
import { createGuard } from "../../../src/guard/guard.ts";
import { parseRules, type Rule } from "../../../src/policy/rule.ts";
import { openOwnNetwork, tell } from "./own-network.ts";

const [vmTap, vmMac, subnet] = process.argv.slice(2) as [string, string, string];

const { network, start } = await openOwnNetwork(vmTap, vmMac, { rules: [], subnet, dns: "9.9.9.9" });
const guard = createGuard({
  macAddress: vmMac,
  origin: "served",
  gateway: network.gateway!,
  gatewayMacAddress: network.gatewayMac!,
  dhcpServer: network.dhcpServer!,
  subnet,
  allow: ["0.0.0.0/0"],
});

interface Line {
  readonly allow?: readonly string[];
  readonly block?: readonly string[];
  readonly times?: number;
  readonly odd?: unknown;
}

const input = createInterface({ input: process.stdin });
input.on("line", (text) => {
  const { allow = [], block = [], times = 0, odd } = JSON.parse(text) as Line;
  const everything = parseRules(["0.0.0.0/0"], []);
  for (let time = 0; time < times; time++) network.policyChanged!(time % 2 === 0 ? everything : []);
  network.policyChanged!(odd === undefined ? parseRules(allow, block) : (odd as readonly Rule[]));
  tell({ message: "told" });
});
start(guard);
tell({ message: "started" });
