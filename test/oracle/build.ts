/** Frames from fields, for the generator and the literal tests: every field can be set wrong on purpose. */
import { onesComplementSum } from "./bytes.ts";

export const BROADCAST_MAC = "ff:ff:ff:ff:ff:ff";
export const BROADCAST = 0xffffffff;

export function join(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export const be16 = (value: number): number[] => [(value >>> 8) & 255, value & 255];
export const be32 = (value: number): number[] => [
  (value >>> 24) & 255,
  (value >>> 16) & 255,
  (value >>> 8) & 255,
  value & 255,
];

export function macBytes(text: string): Uint8Array {
  return new Uint8Array(text.split(":").map((part) => Number.parseInt(part, 16)));
}

export function addressText(address: number): string {
  return be32(address).join(".");
}

export function ethernet(destination: string, source: string, type: number, ...payload: Uint8Array[]): Uint8Array {
  return join(macBytes(destination), macBytes(source), be16(type), ...payload);
}

export interface ArpFields {
  ethernetDestination: string;
  ethernetSource: string;
  hardwareType: number;
  protocolType: number;
  hardwareLength: number;
  protocolLength: number;
  operation: number;
  senderHardware: string;
  senderAddress: number;
  targetHardware: string;
  targetAddress: number;
  padding: number;
}

export function arpFrame(fields: ArpFields): Uint8Array {
  const body = join(
    be16(fields.hardwareType),
    be16(fields.protocolType),
    [fields.hardwareLength, fields.protocolLength],
    be16(fields.operation),
    macBytes(fields.senderHardware),
    be32(fields.senderAddress),
    macBytes(fields.targetHardware),
    be32(fields.targetAddress),
    new Uint8Array(Math.max(0, fields.padding)),
  );
  const cut = fields.padding < 0 ? body.slice(0, body.length + fields.padding) : body;
  return ethernet(fields.ethernetDestination, fields.ethernetSource, 0x0806, cut);
}

export interface Ipv4Fields {
  ethernetDestination: string;
  ethernetSource: string;
  version: number;
  /** Options, a multiple of 4 bytes. */
  options: Uint8Array;
  /** Added to the right total length. */
  totalLengthError: number;
  identification: number;
  /** The three flag bits as a number: 1 = more fragments. */
  flags: number;
  offset: number;
  ttl: number;
  protocol: number;
  badChecksum: boolean;
  source: number;
  destination: number;
  payload: Uint8Array;
  /** Bytes behind the packet. */
  padding: number;
}

export function ipv4Frame(fields: Ipv4Fields): Uint8Array {
  const headerLength = 20 + fields.options.length;
  const header = join(
    [fields.version * 16 + headerLength / 4, 0],
    be16(headerLength + fields.payload.length + fields.totalLengthError),
    be16(fields.identification),
    be16(fields.flags * 0x2000 + fields.offset),
    [fields.ttl, fields.protocol, 0, 0],
    be32(fields.source),
    be32(fields.destination),
    fields.options,
  );
  const sum = 0xffff - onesComplementSum(header);
  header.set(be16(fields.badChecksum ? sum ^ 0x0101 : sum), 10);
  return ethernet(
    fields.ethernetDestination,
    fields.ethernetSource,
    0x0800,
    header,
    fields.payload,
    new Uint8Array(fields.padding),
  );
}

export interface UdpFields {
  source: number;
  destination: number;
  sourcePort: number;
  destinationPort: number;
  lengthError: number;
  checksum: "right" | "zero" | "wrong";
  data: Uint8Array;
}

export function udpPayload(fields: UdpFields): Uint8Array {
  const length = 8 + fields.data.length + fields.lengthError;
  const datagram = join(be16(fields.sourcePort), be16(fields.destinationPort), be16(length), [0, 0], fields.data);
  if (fields.checksum === "zero") return datagram;
  const pseudoHeader = join(be32(fields.source), be32(fields.destination), [0, 17], be16(length));
  const sum = 0xffff - onesComplementSum(join(pseudoHeader, datagram));
  datagram.set(be16(fields.checksum === "wrong" ? sum ^ 0x2001 || 1 : sum || 0xffff), 6);
  return datagram;
}

export interface DhcpOption {
  code: number;
  data: Uint8Array | readonly number[];
}

export interface DhcpFields {
  op: number;
  htype: number;
  hlen: number;
  hops: number;
  xid: number;
  secs: number;
  flags: number;
  ciaddr: number;
  yiaddr: number;
  siaddr: number;
  giaddr: number;
  chaddr: string;
  sname: Uint8Array;
  file: Uint8Array;
  cookie: number;
  options: DhcpOption[];
  /** What stands behind the options: an end option, padding, rubbish. */
  tail: Uint8Array | readonly number[];
}

/** Options as bytes; one of more than 255 bytes is split (RFC 3396). */
export function optionBytes(options: readonly DhcpOption[]): Uint8Array {
  const parts: (Uint8Array | number[])[] = [];
  for (const { code, data } of options) {
    if (code === 0 || code === 255) {
      parts.push([code]);
      continue;
    }
    let rest = new Uint8Array(data);
    do {
      const piece = rest.slice(0, 255);
      parts.push([code, piece.length], piece);
      rest = rest.slice(255);
    } while (rest.length > 0);
  }
  return join(...parts);
}

function fixedArea(bytes: Uint8Array, length: number): Uint8Array {
  const area = new Uint8Array(length);
  area.set(bytes.slice(0, length));
  return area;
}

export function dhcpMessage(fields: DhcpFields): Uint8Array {
  return join(
    [fields.op, fields.htype, fields.hlen, fields.hops],
    be32(fields.xid),
    be16(fields.secs),
    be16(fields.flags),
    be32(fields.ciaddr),
    be32(fields.yiaddr),
    be32(fields.siaddr),
    be32(fields.giaddr),
    fixedArea(macBytes(fields.chaddr), 16),
    fixedArea(fields.sname, 64),
    fixedArea(fields.file, 128),
    be32(fields.cookie),
    optionBytes(fields.options),
    fields.tail,
  );
}

/** Puts IPv4's and UDP's checksums right again in a frame that was changed, as far as its lengths allow. */
export function repairChecksums(frame: Uint8Array): void {
  if (frame.length < 34 || frame[12] !== 8 || frame[13] !== 0) return;
  const headerLength = (frame[14]! & 15) * 4;
  if (headerLength < 20 || 14 + headerLength > frame.length) return;
  frame.set([0, 0], 24);
  frame.set(be16(0xffff - onesComplementSum(frame.slice(14, 14 + headerLength))), 24);
  const total = frame[16]! * 256 + frame[17]!;
  const udp = 14 + headerLength;
  if (frame[23] !== 17 || total < headerLength + 8 || 14 + total > frame.length) return;
  const datagram = frame.slice(udp, 14 + total);
  datagram.set([0, 0], 6);
  const pseudoHeader = join(frame.slice(26, 34), [0, 17], datagram.slice(4, 6));
  frame.set(be16(0xffff - onesComplementSum(join(pseudoHeader, datagram)) || 0xffff), udp + 6);
}
