/** What the tests of the port with the DHCP server share: the server of a network of its own, and batches. */
import { DhcpServer } from "../../src/networks/dhcp/server.ts";
import { Batch, HEADROOM, strideFor } from "../../src/relay/batch.ts";
import { parseIPv4, parseMac } from "../../src/wire/address.ts";
import { GATEWAY_MAC, VM } from "../guard/support.ts";

export const GATEWAY = "192.168.77.1";
export const OWN = "192.168.77.2";

export const served = (): DhcpServer =>
  new DhcpServer({
    gateway: parseIPv4(GATEWAY)!,
    gatewayMac: parseMac(GATEWAY_MAC)!,
    address: parseIPv4(OWN)!,
    netmask: 0xfffffffc,
    dnsServers: [parseIPv4("192.0.2.53")!],
    vmMac: parseMac(VM)!,
  });

export function emptyBatch(capacity = 16, longest = 1514): Batch {
  const stride = strideFor(longest);
  return new Batch(new Uint8Array(capacity * stride + HEADROOM), 0, capacity, stride);
}
