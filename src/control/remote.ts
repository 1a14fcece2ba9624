/** Whom a frame goes to or comes from, as far as that can be read: what first drops are told apart by. */
import { type Direction, EGRESS } from "../relay/direction.ts";
import { isArpForIPv4, senderProtocolAddress, targetProtocolAddress } from "../wire/arp.ts";
import { ETHERNET_HEADER, etherType, TYPE_ARP, TYPE_IPV4 } from "../wire/ethernet.ts";
import { destinationAddress, IPV4_HEADER, sourceAddress } from "../wire/ipv4.ts";

/** The address beyond the network, host order: of the destination from the VM, of the source to it; 0 where there is none. */
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
