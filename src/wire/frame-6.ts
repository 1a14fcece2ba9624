/** Whole frames with an IPv6 packet without extension headers, for those that softnet and the demo send by themselves. */
import { put16 } from "./bytes.ts";
import { addToSum, checksumOf } from "./checksum.ts";
import { ETHERNET_HEADER, putEthernet, TYPE_IPV6 } from "./ethernet.ts";
import { PROTOCOL_UDP } from "./ipv4.ts";
import { IPV6_HEADER, pseudoHeader6Sum, putIPv6Header } from "./ipv6.ts";
import { UDP_HEADER } from "./udp.ts";

const UDP_CHECKSUM = 6;
const USUAL_HOPS = 64;

/** Source or destination: 48 bits, and 128 bits as in ipv6-address.ts. */
export interface Endpoint6 {
  readonly mac: number;
  readonly address: bigint;
}

/** A frame whose upper layer has its checksum at `checksum`, where it is computed here. `hops`: the hop limit. */
export function emitFrame6(
  from: Endpoint6,
  to: Endpoint6,
  protocol: number,
  hops: number,
  upper: Uint8Array,
  checksum: number,
): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER + IPV6_HEADER + upper.length);
  putEthernet(frame, 0, to.mac, from.mac, TYPE_IPV6);
  putIPv6Header(frame, ETHERNET_HEADER, upper.length, protocol, hops, from.address, to.address);
  const at = ETHERNET_HEADER + IPV6_HEADER;
  frame.set(upper, at);
  const pseudo = pseudoHeader6Sum(frame, ETHERNET_HEADER, protocol, upper.length);
  put16(frame, at + checksum, checksumOf(addToSum(pseudo, frame, at, upper.length)) || 0xffff);
  return frame;
}

/** A frame with a UDP datagram. */
export function emitUdpFrame6(
  from: Endpoint6 & { readonly port: number },
  to: Endpoint6 & { readonly port: number },
  payload: Uint8Array,
): Uint8Array {
  const datagram = new Uint8Array(UDP_HEADER + payload.length);
  put16(datagram, 0, from.port);
  put16(datagram, 2, to.port);
  put16(datagram, 4, datagram.length);
  datagram.set(payload, UDP_HEADER);
  return emitFrame6(from, to, PROTOCOL_UDP, USUAL_HOPS, datagram, UDP_CHECKSUM);
}
