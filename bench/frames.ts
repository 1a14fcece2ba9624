/** The frames that are forwarded: plain UDP of the VM's to a globally routable address, which the whole guard looks at. */
import { emitEthernet } from "../src/wire/ethernet.ts";
import { emitUdp } from "../src/wire/udp.ts";

export const VM_MAC = "02:00:00:00:00:11";
export const VM_ADDRESS = "192.168.64.9";
const VM = 0x020000000011;
const ROUTER = 0x020000000001;
const SOURCE = 0xc0a84009;
const OVERHEAD = 14 + 20 + 8;

/** One frame of `length` bytes, 60 … 1,514, to `destination`. */
export function frameOf(length: number, destination = 0x01010101): Uint8Array {
  const ports = { sourcePort: 40_000, destinationPort: 443 };
  const packet = emitUdp({ source: SOURCE, destination, ...ports }, new Uint8Array(length - OVERHEAD));
  return emitEthernet(ROUTER, VM, 0x0800, packet);
}
