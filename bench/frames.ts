/** The frames that are forwarded: plain UDP between the VM and a globally routable address, which the whole guard looks at. */
import { ETHERNET_HEADER, emitEthernet, putEthernet, TYPE_IPV4 } from "../src/wire/ethernet.ts";
import { emitUdpFrame6 } from "../src/wire/frame-6.ts";
import { IPV4_HEADER, PROTOCOL_TCP, putIPv4Header } from "../src/wire/ipv4.ts";
import { putTcp, TCP_HEADER, TCP_SYN } from "../src/wire/tcp.ts";
import { emitUdp } from "../src/wire/udp.ts";

export const VM_MAC = "02:00:00:00:00:11";
export const VM_ADDRESS = "192.168.64.9";
const VM = 0x020000000011;
const ROUTER = 0x020000000001;
const SOURCE = 0xc0a84009;
export const VM_ADDRESS_6 = "2001:db8::9";
const SOURCE_6 = 0x20010db8_00000000_00000000_00000009n;
/** The other end of what the VM receives. */
const REMOTE = 0x01010101;
const REMOTE_6 = 0x26064700_47000000_00000000_00001111n;
const OVERHEAD = 14 + 20 + 8;
const OVERHEAD_6 = 14 + 40 + 8;

/** A frame that asks for a TCP connection to `destination`. */
export function synOf(destination: number): Uint8Array {
  const frame = new Uint8Array(60);
  putIPv4Header(frame, ETHERNET_HEADER, IPV4_HEADER + TCP_HEADER, PROTOCOL_TCP, SOURCE, destination);
  putTcp(frame, ETHERNET_HEADER, 40_000, 443, 1, 0, TCP_SYN);
  putEthernet(frame, 0, ROUTER, VM, TYPE_IPV4);
  return frame;
}

/** One frame of `length` bytes, 60 … 1,514, to `destination`. */
export function frameOf(length: number, destination = REMOTE): Uint8Array {
  const ports = { sourcePort: 40_000, destinationPort: 443 };
  const packet = emitUdp({ source: SOURCE, destination, ...ports }, new Uint8Array(length - OVERHEAD));
  return emitEthernet(ROUTER, VM, 0x0800, packet);
}

/** The same by IPv6; 62 bytes at least. */
export function frame6Of(length: number, destination = REMOTE_6): Uint8Array {
  const from = { mac: VM, address: SOURCE_6, port: 40_000 };
  return emitUdpFrame6(from, { mac: ROUTER, address: destination, port: 443 }, new Uint8Array(length - OVERHEAD_6));
}

/** Such a frame to the VM. */
export function frameTo(length: number): Uint8Array {
  const ports = { sourcePort: 443, destinationPort: 40_000 };
  const packet = emitUdp({ source: REMOTE, destination: SOURCE, ...ports }, new Uint8Array(length - OVERHEAD));
  return emitEthernet(VM, ROUTER, 0x0800, packet);
}

/** The same by IPv6; 62 bytes at least. */
export function frame6To(length: number): Uint8Array {
  const from = { mac: ROUTER, address: REMOTE_6, port: 443 };
  return emitUdpFrame6(from, { mac: VM, address: SOURCE_6, port: 40_000 }, new Uint8Array(length - OVERHEAD_6));
}
