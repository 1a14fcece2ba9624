/** TCP's ports and flags (RFC 9293 3.1). Offsets count from the segment's first byte, behind the IPv4 header. */
import { get16 } from "./bytes.ts";

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const FLAGS = 13;

/** Bytes of a header without options: what a first fragment must bring. */
export const TCP_HEADER = 20;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;

export const tcpSourcePort = (bytes: Uint8Array, segment: number): number => get16(bytes, segment + SOURCE_PORT);
export const tcpDestinationPort = (bytes: Uint8Array, segment: number): number =>
  get16(bytes, segment + DESTINATION_PORT);
export const tcpFlags = (bytes: Uint8Array, segment: number): number => bytes[segment + FLAGS]!;
