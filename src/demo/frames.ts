/** Frames that the demo's programs send by themselves, made of the parts in wire/; and reading the UDP in one. */
import { BROADCAST_MAC } from "../wire/address.ts";
import { ARP_REPLY, emitArp } from "../wire/arp.ts";
import { put16 } from "../wire/bytes.ts";
import { ETHERNET_HEADER, emitEthernet, etherType, sourceMac, TYPE_ARP, TYPE_IPV4 } from "../wire/ethernet.ts";
import {
  destinationAddress,
  headerLength,
  IPV4_HEADER,
  ipProtocol,
  PROTOCOL_UDP,
  sourceAddress,
} from "../wire/ipv4.ts";
import { emitUdp, UDP_HEADER, udpDestinationPort, udpLength, udpSourcePort } from "../wire/udp.ts";

/** The source or destination of a UDP frame; the addresses are numbers, as in wire/. */
export interface Endpoint {
  readonly mac: number;
  readonly address: number;
  readonly port: number;
}

export function udpFrame(from: Endpoint, to: Endpoint, payload: Uint8Array): Uint8Array {
  const packet = emitUdp(
    { source: from.address, destination: to.address, sourcePort: from.port, destinationPort: to.port },
    payload,
  );
  return emitEthernet(to.mac, from.mac, TYPE_IPV4, packet);
}

/** An unsolicited ARP reply to `target` (or to all): `claimed` is at `sender`. */
export function arpClaim(sender: number, claimed: number, target = BROADCAST_MAC): Uint8Array {
  const packet = emitArp({
    operation: ARP_REPLY,
    senderHardware: sender,
    senderProtocol: claimed,
    targetHardware: target,
    targetProtocol: claimed,
  });
  return emitEthernet(target, sender, TYPE_ARP, packet);
}

/** Puts an IEEE 802.1Q priority tag (VLAN 0) in front of a frame's type: Linux takes such a frame as if it had none. */
export function priorityTagged(frame: Uint8Array): Uint8Array {
  const addresses = ETHERNET_HEADER - 2;
  const tagged = new Uint8Array(frame.length + 4);
  tagged.set(frame.subarray(0, addresses));
  put16(tagged, addresses, 0x8100);
  tagged.set(frame.subarray(addresses), addresses + 4);
  return tagged;
}

export interface ReceivedUdp {
  readonly sourceMac: number;
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Where in the frame the payload begins, and how long it is. */
  readonly at: number;
  readonly length: number;
}

/**
 * The UDP datagram in a frame; undefined when there is none that is whole. Checksums may still be the card's to fill
 * in.
 */
export function readUdp(frame: Uint8Array): ReceivedUdp | undefined {
  const packet = ETHERNET_HEADER;
  if (frame.length < packet + IPV4_HEADER || etherType(frame, 0) !== TYPE_IPV4) return undefined;
  if (ipProtocol(frame, packet) !== PROTOCOL_UDP) return undefined;
  const datagram = packet + headerLength(frame, packet);
  if (frame.length < datagram + UDP_HEADER || frame.length < datagram + udpLength(frame, datagram)) return undefined;
  return {
    sourceMac: sourceMac(frame, 0),
    source: sourceAddress(frame, packet),
    destination: destinationAddress(frame, packet),
    sourcePort: udpSourcePort(frame, datagram),
    destinationPort: udpDestinationPort(frame, datagram),
    at: datagram + UDP_HEADER,
    length: udpLength(frame, datagram) - UDP_HEADER,
  };
}
