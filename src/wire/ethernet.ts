/** Ethernet II (IEEE 802.3 with a type field). Offsets count from the frame's first byte. */
import { getMac, putMac } from "./address.ts";
import { get16, put16 } from "./bytes.ts";

const DESTINATION = 0;
const SOURCE = 6;
const TYPE = 12;

/** Length of the header, and where the payload begins. */
export const ETHERNET_HEADER = 14;

export const TYPE_IPV4 = 0x0800;
export const TYPE_ARP = 0x0806;
export const TYPE_IPV6 = 0x86dd;

export const destinationMac = (bytes: Uint8Array, frame: number): number => getMac(bytes, frame + DESTINATION);
export const sourceMac = (bytes: Uint8Array, frame: number): number => getMac(bytes, frame + SOURCE);
export const etherType = (bytes: Uint8Array, frame: number): number => get16(bytes, frame + TYPE);

/**
 * 01:80:c2:xx:xx:xx: bridges, pause frames, LLDP; never forwarded by a bridge, never sent by a VM (IEEE 802.1Q 8.6.3).
 */
export function isReservedDestination(bytes: Uint8Array, frame: number): boolean {
  return bytes[frame] === 0x01 && bytes[frame + 1] === 0x80 && bytes[frame + 2] === 0xc2;
}

/** Bytes of the shortest frame on a wire, without its checksum: shorter ones are padded. */
export const SHORTEST_FRAME = 60;

/** Writes a header. */
export function putEthernet(bytes: Uint8Array, frame: number, destination: number, source: number, type: number): void {
  putMac(bytes, frame + DESTINATION, destination);
  putMac(bytes, frame + SOURCE, source);
  put16(bytes, frame + TYPE, type);
}

/** A frame with a payload, padded to at least 60 bytes as Ethernet requires. */
export function emitEthernet(destination: number, source: number, type: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(Math.max(SHORTEST_FRAME, ETHERNET_HEADER + payload.length));
  putEthernet(frame, 0, destination, source, type);
  frame.set(payload, ETHERNET_HEADER);
  return frame;
}
