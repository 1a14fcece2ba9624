/** IPv6 (RFC 8200). Offsets count from the packet's first byte, behind the Ethernet header. */
import { get16, get32, put16, put32 } from "./bytes.ts";
import { addToSum } from "./checksum.ts";
import { putIPv6 } from "./ipv6-address.ts";

const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const HOP_LIMIT = 7;
const SOURCE = 8;
const DESTINATION = 24;

/** Bytes of the header without extension headers. */
export const IPV6_HEADER = 40;
/** Every link carries packets of that many bytes (RFC 8200 5). */
export const IPV6_LEAST_MTU = 1280;

const USUAL_HOPS = 64;

/** Next header numbers (RFC 8200 4, RFC 7045). */
export const NEXT_HOP_BY_HOP = 0;
export const NEXT_ROUTING = 43;
export const NEXT_FRAGMENT = 44;
export const PROTOCOL_ICMPV6 = 58;
export const NEXT_NONE = 59;
export const NEXT_DESTINATION = 60;

export const payloadLength = (bytes: Uint8Array, packet: number): number => get16(bytes, packet + PAYLOAD_LENGTH);
export const nextHeader = (bytes: Uint8Array, packet: number): number => bytes[packet + NEXT_HEADER]!;
export const hopLimit = (bytes: Uint8Array, packet: number): number => bytes[packet + HOP_LIMIT]!;
/** Where the addresses of a packet begin. */
export const sourceAt6 = (packet: number): number => packet + SOURCE;
export const destinationAt6 = (packet: number): number => packet + DESTINATION;

/** Reads the address at `at` into four signed words, which it returns. */
export function readWords(bytes: Uint8Array, at: number, words: Int32Array): Int32Array {
  for (let word = 0; word < 4; word++) words[word] = get32(bytes, at + 4 * word);
  return words;
}

/** The sum of the pseudo-header (RFC 8200 8.1). `length`: of the upper layer's header and payload, at most 65,535 bytes. */
export function pseudoHeader6Sum(bytes: Uint8Array, packet: number, protocol: number, length: number): number {
  return addToSum(0, bytes, packet + SOURCE, 32) + length + protocol;
}

/** Writes a header: traffic class and flow label 0. `payload`: bytes behind it. */
export function putIPv6Header(
  bytes: Uint8Array,
  packet: number,
  payload: number,
  protocol: number,
  hops: number,
  source: bigint,
  destination: bigint,
): void {
  putFields(bytes, packet, payload, protocol, hops);
  putIPv6(bytes, packet + SOURCE, source);
  putIPv6(bytes, packet + DESTINATION, destination);
}

/** The same, with 64 hops, between addresses of four words at `sourceWords[sourceAt]` and `destinationWords[destinationAt]`. */
export function putIPv6HeaderOfWords(
  bytes: Uint8Array,
  packet: number,
  payload: number,
  protocol: number,
  sourceWords: Int32Array,
  sourceAt: number,
  destinationWords: Int32Array,
  destinationAt: number,
): void {
  putFields(bytes, packet, payload, protocol, USUAL_HOPS);
  for (let word = 0; word < 4; word++) {
    put32(bytes, packet + SOURCE + 4 * word, sourceWords[sourceAt + word]!);
    put32(bytes, packet + DESTINATION + 4 * word, destinationWords[destinationAt + word]!);
  }
}

function putFields(bytes: Uint8Array, packet: number, payload: number, protocol: number, hops: number): void {
  bytes.fill(0, packet, packet + IPV6_HEADER);
  bytes[packet] = 0x60;
  put16(bytes, packet + PAYLOAD_LENGTH, payload);
  bytes[packet + NEXT_HEADER] = protocol;
  bytes[packet + HOP_LIMIT] = hops;
}
