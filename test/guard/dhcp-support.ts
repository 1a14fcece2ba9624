/** What the tests of DHCP attacks share: the network's server, a rogue, a VM that has its lease. */
import { ADDRESS, Bench, bytes, Client, OTHER_MAC, patch, Server } from "./support.ts";

export const OTHER = "192.168.64.6";
export const server = new Server();
export const rogue = new Server({
  address: "192.168.64.66",
  mac: OTHER_MAC,
  router: "192.168.64.66",
  dns: ["192.168.64.66"],
});

export function bound(lease = 3600): Bench {
  const bench = new Bench();
  bench.bind(ADDRESS, new Client(), new Server({ lease }));
  return bench;
}

export const identified = (identifier: number, xid = 1000 + identifier) =>
  new Client({ xid, identifier: bytes(0, identifier >>> 8, identifier & 255) });

/** Sets the checksum of a UDP frame to "not computed", so that bytes behind can be changed at will. */
export const unchecked = (frame: Uint8Array) => patch(frame, 40, 0, 0);
