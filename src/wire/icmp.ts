/** ICMP (RFC 792). Offsets count from the message's first byte, behind the IPv4 header. */
import { get16, put16 } from "./bytes.ts";
import { addToSum, checksumOf } from "./checksum.ts";

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const IDENTIFIER = 4;
const SEQUENCE = 6;

export const ICMP_HEADER = 8;

export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO_REQUEST = 8;
/** RFC 1256. */
export const ICMP_ROUTER_ADVERTISEMENT = 9;
export const ICMP_ROUTER_SOLICITATION = 10;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;

/** Code of ICMP_UNREACHABLE: communication administratively prohibited (RFC 1812 5.2.7.1). */
export const ICMP_PROHIBITED = 13;
/** The same: port unreachable (RFC 792). */
export const ICMP_PORT_UNREACHABLE = 3;

export const icmpType = (bytes: Uint8Array, message: number): number => bytes[message + TYPE]!;
export const icmpCode = (bytes: Uint8Array, message: number): number => bytes[message + CODE]!;
export const icmpIdentifier = (bytes: Uint8Array, message: number): number => get16(bytes, message + IDENTIFIER);

/** Whether a message reports an error about a packet that it quotes; redirects (type 5) apart. */
export function isIcmpError(type: number): boolean {
  return (
    type === ICMP_UNREACHABLE ||
    type === ICMP_SOURCE_QUENCH ||
    type === ICMP_TIME_EXCEEDED ||
    type === ICMP_PARAMETER_PROBLEM
  );
}

/**
 * Writes an error message that quotes `length` bytes at `quoted` in `source`, with its checksum; returns its length.
 */
export function putIcmpError(
  bytes: Uint8Array,
  message: number,
  type: number,
  code: number,
  source: Uint8Array,
  quoted: number,
  length: number,
): number {
  bytes.fill(0, message, message + ICMP_HEADER);
  bytes[message + TYPE] = type;
  bytes[message + CODE] = code;
  for (let index = 0; index < length; index++) bytes[message + ICMP_HEADER + index] = source[quoted + index]!;
  put16(bytes, message + CHECKSUM, checksumOf(addToSum(0, bytes, message, ICMP_HEADER + length)));
  return ICMP_HEADER + length;
}

export function emitIcmpEcho(type: number, identifier: number, sequence: number, payload: Uint8Array): Uint8Array {
  const message = new Uint8Array(ICMP_HEADER + payload.length);
  message[TYPE] = type;
  put16(message, IDENTIFIER, identifier);
  put16(message, SEQUENCE, sequence);
  message.set(payload, ICMP_HEADER);
  put16(message, CHECKSUM, checksumOf(addToSum(0, message, 0, message.length)));
  return message;
}
