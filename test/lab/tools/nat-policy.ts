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
import { DEFAULT_CONNECTIONS } from "../../../src/host/table.ts";
import { bootClock } from "../../../src/native/linux/clock.ts";
import { loadLibc } from "../../../src/native/linux/libc.ts";
import { openNat } from "../../../src/networks/nat/nat.ts";
import { parseRules, type Rule } from "../../../src/policy/rule.ts";
import { allocateSlab } from "../../../src/ports/slab.ts";
import { openVmTap } from "../../../src/ports/tap.ts";
import { Relay } from "../../../src/relay/relay.ts";

const [vmTap, vmMac, subnet] = process.argv.slice(2) as [string, string, string];
const MTU = 1500;
const tell = (record: object): void => console.error(JSON.stringify(record));

const libc = loadLibc();
const vm = openVmTap(libc, "--vm-tap", vmTap, Uint8Array.from(Buffer.from(vmMac.replaceAll(":", ""), "hex")));
const network = await openNat(libc, {
  type: "nat",
  vmMac,
  rules: [],
  isolated: true,
  subnet,
  dns: "9.9.9.9",
  mtu: MTU,
  connections: DEFAULT_CONNECTIONS,
  directory: "/run/softnet",
  warn: (message) => tell({ message }),
});
const guard = createGuard({
  macAddress: vmMac,
  origin: "served",
  gateway: network.gateway!,
  gatewayMacAddress: network.gatewayMac!,
  dhcpServer: network.dhcpServer!,
  subnet,
  allow: ["0.0.0.0/0"],
});
const slabs = [allocateSlab(MTU + 14), allocateSlab(MTU + 14)] as const;
const relay = new Relay({
  vm,
  network: network.port,
  guard,
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
process.once("SIGINT", () => end(0));
relay.start();
tell({ message: "started" });
