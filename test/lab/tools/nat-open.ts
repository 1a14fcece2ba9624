/**
 * A VM's own network without a guard: what is closed is closed by the network, and what the VM sends reaches it as it is.
 *
 * Arguments: the VM's TAP, its MAC address, options of `openNat` as JSON. Standard input: the VM's IPv6 addresses, one JSON list
 * a line, as a guard would tell them. It writes softnet's JSON log and ends with SIGINT, or with 1 when its network fails.
 */
import { createInterface } from "node:readline";
import { parseRules } from "../../../src/policy/rule.ts";
import { parseIPv6 } from "../../../src/wire/ipv6-address.ts";
import { openOwnNetwork, tell, warn } from "./own-network.ts";

const [vmTap, vmMac, options] = process.argv.slice(2) as [string, string, string];
const { allow = [], block = [], ...given } = JSON.parse(options);

const { network, start } = await openOwnNetwork(vmTap, vmMac, {
  rules: parseRules(allow, block),
  ipv6: true,
  ...given,
});
const host = network.host!;
host.onEvent = warn;
host.onNotices = (notices) => tell({ message: "notices", notices });
host.onNotices(host.notices);

createInterface({ input: process.stdin }).on("line", (text) => {
  network.followAddresses6?.((JSON.parse(text) as string[]).map((address) => parseIPv6(address)!));
  tell({ message: "told" });
});
start({ deadline: Number.POSITIVE_INFINITY, advance: () => {}, judgeEgress: () => 0, judgeIngress: () => 0 });
const { port, subnet, gatewayMac, router6, prefix6, hostAddresses6 } = network;
tell({ message: "started", port: port.label, subnet, gatewayMac, router6, prefix6, hostAddresses6 });
