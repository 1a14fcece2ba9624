/**
 * A private network for one VM, as small as it can be: two TAPs, and between them the relay, the guard and the built-in
 * DHCP server. The VM's TAP is for the guest's namespace; the other one stays and is the gateway.
 *
 * Arguments: the VM's TAP, its MAC address, the gateway's TAP, the subnet's first three bytes (`10.79.0`: the gateway
 * is .1, the VM .2), DNS servers with commas between. It writes softnet's JSON log, ends with SIGINT.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createGuard } from "../../../src/guard/guard.ts";
import { bootClock } from "../../../src/native/linux/clock.ts";
import { loadLibc } from "../../../src/native/linux/libc.ts";
import { DhcpServer } from "../../../src/networks/dhcp/server.ts";
import { ServingPort } from "../../../src/networks/dhcp/serving-port.ts";
import { allocateSlab } from "../../../src/ports/slab.ts";
import { openVmTap } from "../../../src/ports/tap.ts";
import { Relay } from "../../../src/relay/relay.ts";
import { parseIPv4, parseMac } from "../../../src/wire/address.ts";
import { formatAddress } from "../../../src/wire/ipv6-address.ts";

const [vmTap, vmMac, hostTap, subnet, dns] = process.argv.slice(2) as [string, string, string, string, string];
const MTU = 1500;
const gateway = `${subnet}.1`;

const libc = loadLibc();
const octets = (mac: string): Uint8Array => Uint8Array.from(Buffer.from(mac.replaceAll(":", ""), "hex"));
const tell = (record: object): void => console.error(JSON.stringify(record));

const vm = openVmTap(libc, "--vm-tap", vmTap, octets(vmMac));
const gatewayMac = "02:79:00:00:00:01";
const tap = openVmTap(libc, "gateway", hostTap, octets(gatewayMac));
execFileSync("ip", ["address", "add", `${gateway}/30`, "dev", hostTap]);
execFileSync("ip", ["link", "set", hostTap, "up"]);
const seen = readFileSync(`/sys/class/net/${hostTap}/address`, "utf8").trim();
if (seen !== gatewayMac) throw new Error(`the gateway's MAC address is ${seen}`);

const network = new ServingPort(
  tap,
  new DhcpServer({
    gateway: parseIPv4(gateway)!,
    gatewayMac: parseMac(gatewayMac)!,
    address: parseIPv4(`${subnet}.2`)!,
    netmask: parseIPv4("255.255.255.252")!,
    dnsServers: dns.split(",").map((server) => parseIPv4(server)!),
    vmMac: parseMac(vmMac)!,
  }),
);
const guard = createGuard({
  macAddress: vmMac,
  origin: "served",
  gateway,
  gatewayMacAddress: gatewayMac,
  dhcpServer: gateway,
  subnet: `${subnet}.0/30`,
  mtu: MTU,
  onBinding: ({ kind, bound }) =>
    tell({ message: "binding", kind, address: formatAddress(bound.address), origin: bound.origin }),
});
const slabs = [allocateSlab(MTU + 14), allocateSlab(MTU + 14)] as const;
const relay = new Relay({
  vm,
  network,
  guard,
  clock: bootClock(libc),
  batches: [slabs[0].batch, slabs[1].batch],
  onEnd: ({ error }) => {
    tell({ message: "ended", error: error.message });
    process.exit(1);
  },
});

process.once("SIGINT", () => {
  relay.stop();
  const { egress, ingress } = relay.counters.snapshot();
  const drops: Record<string, number> = { ...egress.drops };
  for (const [name, count] of Object.entries(ingress.drops)) drops[name] = (drops[name] ?? 0) + count;
  tell({ message: "summary", ...drops, refused: network.refused, dropped: network.dropped });
  vm.close();
  network.close();
});
relay.start();
tell({ message: "started" });
