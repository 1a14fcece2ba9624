/**
 * A VM's own network without a guard: what is closed is closed by the network, and what the VM sends reaches it as it is.
 *
 * Arguments: the VM's TAP, its MAC address, options of `openNat` as JSON. Standard input: the VM's IPv6 addresses, one JSON list
 * a line, as a guard would tell them. It writes softnet's JSON log and ends with SIGINT, or with 1 when its network fails.
 */
import { createInterface } from "node:readline";
import { DEFAULT_CONNECTIONS } from "../../../src/host/table.ts";
import { bootClock } from "../../../src/native/linux/clock.ts";
import { loadLibc } from "../../../src/native/linux/libc.ts";
import { openNat } from "../../../src/networks/nat/nat.ts";
import { parseRules } from "../../../src/policy/rule.ts";
import { allocateSlab } from "../../../src/ports/slab.ts";
import { openVmTap } from "../../../src/ports/tap.ts";
import { Relay } from "../../../src/relay/relay.ts";
import { parseIPv6 } from "../../../src/wire/ipv6-address.ts";

const [vmTap, vmMac, options] = process.argv.slice(2) as [string, string, string];
const { allow = [], block = [], ...given } = JSON.parse(options);
const MTU = 1500;
const tell = (record: object): void => console.error(JSON.stringify(record));

const libc = loadLibc();
const vm = openVmTap(libc, "--vm-tap", vmTap, Uint8Array.from(Buffer.from(vmMac.replaceAll(":", ""), "hex")));
const network = await openNat(libc, {
  type: "nat",
  vmMac,
  rules: parseRules(allow, block),
  isolated: true,
  mtu: MTU,
  connections: DEFAULT_CONNECTIONS,
  directory: "/run/softnet",
  warn: (message) => tell({ level: "warn", message }),
  ipv6: true,
  ...given,
});
const host = network.host!;
host.onEvent = (message) => tell({ level: "warn", message });
host.onNotices = (notices) => tell({ message: "notices", notices });
host.onNotices(host.notices);
const slabs = [allocateSlab(MTU + 14), allocateSlab(MTU + 14)] as const;
const relay = new Relay({
  vm,
  network: network.port,
  guard: { deadline: Number.POSITIVE_INFINITY, advance: () => {}, judgeEgress: () => 0, judgeIngress: () => 0 },
  clock: bootClock(libc),
  batches: [slabs[0].batch, slabs[1].batch],
  onEnd: ({ error }) => {
    tell({ message: "ended", error: error.message });
    end(1);
  },
});

function end(code: number): void {
  process.exitCode = code;
  relay.stop();
  network.close();
  vm.close();
  process.stdin.destroy();
}

createInterface({ input: process.stdin }).on("line", (text) => {
  network.followAddresses6?.((JSON.parse(text) as string[]).map((address) => parseIPv6(address)!));
  tell({ message: "told" });
});
process.once("SIGINT", () => end(0));
relay.start();
const { port, subnet, gatewayMac, router6, prefix6, hostAddresses6 } = network;
tell({ message: "started", port: port.label, subnet, gatewayMac, router6, prefix6, hostAddresses6 });
