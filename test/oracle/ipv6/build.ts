/** IPv6 frames from fields, for the generators and the literal tests: every field can be set wrong on purpose. */
import { be16, be32, ethernet, join, macBytes } from "../build.ts";
import { addressAt, addressBytes, sum6 } from "./bytes.ts";

type Bytes = Uint8Array | readonly number[];

export interface Header {
  /** The extension header's number. */
  readonly number: number;
  /** All of it; its first byte is filled in. */
  readonly bytes: Bytes;
}

export interface Fields6 {
  readonly ethernetDestination: string;
  readonly ethernetSource: string;
  readonly version: number;
  readonly lengthError: number;
  readonly hopLimit: number;
  readonly source: bigint;
  readonly destination: bigint;
  readonly headers: readonly Header[];
  readonly protocol: number;
  readonly payload: Bytes;
  readonly padding: number;
}

export function frame6(fields: Fields6): Uint8Array {
  const numbers = [...fields.headers.map(({ number }) => number), fields.protocol];
  const chain = fields.headers.map(({ bytes }, index) => join([numbers[index + 1]!], bytes.slice(1)));
  const payload = join(...chain, fields.payload);
  const header = join(
    [fields.version * 16, 0, 0, 0],
    be16(payload.length + fields.lengthError),
    [numbers[0]!, fields.hopLimit],
    addressBytes(fields.source),
    addressBytes(fields.destination),
  );
  const { ethernetDestination, ethernetSource, padding } = fields;
  return ethernet(ethernetDestination, ethernetSource, 0x86dd, header, payload, new Uint8Array(padding));
}

/** A header of options (0 or 60), filled up to whole units of 8 bytes. */
export function optionsHeader(number: number, options: Bytes): Header {
  const length = Math.ceil((2 + options.length) / 8) * 8;
  const rest = length - 2 - options.length;
  const padding = rest === 0 ? [] : rest === 1 ? [0] : [1, rest - 2, ...new Array(rest - 2).fill(0)];
  return { number, bytes: join([0, length / 8 - 1], options, padding) };
}

export const ROUTER_ALERT: Header = optionsHeader(0, [5, 2, 0, 0]);

export const fragmentHeader = (offset: number, more: boolean, identification: number): Header => ({
  number: 44,
  bytes: join([0, 0], be16(offset + (more ? 1 : 0)), be32(identification)),
});

export const routingHeader = (type: number): Header => ({ number: 43, bytes: [0, 0, type, 0, 0, 0, 0, 0] });

/** ICMPv6 with the right checksum. */
export function icmp6(source: bigint, destination: bigint, type: number, body: Bytes, code = 0): Uint8Array {
  const message = join([type, code, 0, 0], body);
  message.set(be16(0xffff - sum6(source, destination, 58, message)), 2);
  return message;
}

export function udp6(source: bigint, destination: bigint, ports: readonly [number, number], data: Bytes): Uint8Array {
  const datagram = join(be16(ports[0]), be16(ports[1]), be16(8 + data.length), [0, 0], data);
  datagram.set(be16(0xffff - sum6(source, destination, 17, datagram) || 0xffff), 6);
  return datagram;
}

export const linkOption = (type: 1 | 2, mac: string): Uint8Array => join([type, 1], macBytes(mac));

export function prefixOption(prefix: bigint, length: number, flags: number, valid: number, preferred = valid) {
  return join([3, 4, length, flags], be32(valid), be32(preferred), be32(0), addressBytes(prefix));
}

export function dnsOption(addresses: readonly bigint[], lifetime: number): Uint8Array {
  return join([25, 1 + 2 * addresses.length, 0, 0], be32(lifetime), ...addresses.map(addressBytes));
}

/** PREF64: the lifetime in seconds is a multiple of 8 (RFC 8781 4). */
export function nat64Option(prefix: bigint, plc: number, lifetime: number): Uint8Array {
  return join([38, 2], be16(Math.floor(lifetime / 8) * 8 + plc), addressBytes(prefix).slice(0, 12));
}

export const advertisement = (lifetime: number, ...options: readonly Bytes[]): Uint8Array =>
  join([64, 0], be16(lifetime), be32(0), be32(0), ...options);

/** A DHCPv6 option. */
export const option6 = (code: number, ...data: readonly Bytes[]): Uint8Array => {
  const whole = join(...data);
  return join(be16(code), be16(whole.length), whole);
};

export const statusOption = (code: number): Uint8Array => option6(13, be16(code));

export const addressOption = (address: bigint, preferred: number, valid: number, ...options: Bytes[]): Uint8Array =>
  option6(5, addressBytes(address), be32(preferred), be32(valid), ...options);

export const association = (kind: number, iaid: number, ...options: readonly Bytes[]): Uint8Array =>
  option6(kind, be32(iaid), ...(kind === 4 ? [] : [be32(0), be32(0)]), ...options);

export const message6 = (type: number, xid: number, ...options: readonly Bytes[]): Uint8Array =>
  join([type], be32(xid).slice(1), ...options);

/** Puts an ICMPv6 or UDP checksum right again behind any extension headers, as far as the lengths allow. */
export function repair6(frame: Uint8Array): void {
  if (frame.length < 62 || frame[12] !== 0x86 || frame[13] !== 0xdd) return;
  const end = 54 + frame[18]! * 256 + frame[19]!;
  let next = frame[20]!;
  let at = 54;
  while ([0, 43, 60].includes(next) && at + 8 <= frame.length) {
    next = frame[at]!;
    at += (frame[at + 1]! + 1) * 8;
  }
  if (end > frame.length || at + 8 > end || (next !== 58 && next !== 17)) return;
  const place = next === 58 ? 2 : 6;
  frame.set([0, 0], at + place);
  const sum = 0xffff - sum6(addressAt(frame, 22), addressAt(frame, 38), next, frame.slice(at, end));
  frame.set(be16(next === 17 ? sum || 0xffff : sum), at + place);
}
