/** The remote address of a frame: the key of the table of first drops. */
import { type Direction, EGRESS } from "../relay/direction.ts";
import { isArpForIPv4, senderProtocolAddress, targetProtocolAddress } from "../wire/arp.ts";
import { ETHERNET_HEADER, etherType, TYPE_ARP, TYPE_IPV4 } from "../wire/ethernet.ts";
import { destinationAddress, IPV4_HEADER, sourceAddress } from "../wire/ipv4.ts";

/** Host order: the destination of a frame from the VM, the source of a frame to it; 0 when the frame has none. */
export function remoteOf(direction: Direction, bytes: Uint8Array, frame: number, length: number): number {
  if (length < ETHERNET_HEADER) return 0;
  const type = etherType(bytes, frame);
  const packet = frame + ETHERNET_HEADER;
  const size = length - ETHERNET_HEADER;
  const egress = direction === EGRESS;
  if (type === TYPE_IPV4 && size >= IPV4_HEADER) {
    return egress ? destinationAddress(bytes, packet) : sourceAddress(bytes, packet);
  }
  if (type !== TYPE_ARP || !isArpForIPv4(bytes, packet, size)) return 0;
  return egress ? targetProtocolAddress(bytes, packet) : senderProtocolAddress(bytes, packet);
}
