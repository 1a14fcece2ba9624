/**
 * Builds capture files for tests, block by block and in either byte order, sharing no code with src/capture so that
 * both cannot be wrong in the same way.
 */

/** Bytes from hexadecimal text; blanks are for the reader. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
}

/** A number of 16, 32 or 64 bits, or bytes as they are. */
export type Part = readonly ["u16" | "u32" | "u64", number | bigint] | Uint8Array;

export const u16 = (value: number): Part => ["u16", value];
export const u32 = (value: number): Part => ["u32", value];
export const u64 = (value: number | bigint): Part => ["u64", value];

export function pack(little: boolean, parts: readonly Part[]): Uint8Array {
  const pieces = parts.map((part) => {
    if (part instanceof Uint8Array) return part;
    const [kind, value] = part;
    const bytes = Buffer.alloc(kind === "u16" ? 2 : kind === "u32" ? 4 : 8);
    if (kind === "u16") little ? bytes.writeUInt16LE(Number(value)) : bytes.writeUInt16BE(Number(value));
    else if (kind === "u32") little ? bytes.writeUInt32LE(Number(value)) : bytes.writeUInt32BE(Number(value));
    else if (little) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
    else bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)));
    return bytes;
  });
  return Uint8Array.from(Buffer.concat(pieces));
}

const pad = (bytes: Uint8Array): Uint8Array => Uint8Array.from([...bytes, ...new Uint8Array(-bytes.length & 3)]);

export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** One option, padded; its value is text, a byte, or parts of its own. */
export function option(little: boolean, code: number, value: string | Uint8Array): Uint8Array {
  const bytes = typeof value === "string" ? ascii(value) : value;
  return pack(little, [u16(code), u16(bytes.length), pad(bytes)]);
}

export function block(little: boolean, type: number, ...body: readonly Part[]): Uint8Array {
  const inside = pack(little, body);
  return pack(little, [u32(type), u32(inside.length + 12), inside, u32(inside.length + 12)]);
}

export function section(little: boolean, ...options: readonly Uint8Array[]): Uint8Array {
  return block(little, 0x0a0d0d0a, u32(0x1a2b3c4d), u16(1), u16(0), u64(-1n), ...options);
}

export function description(little: boolean, linkType: number, snaplen: number, ...options: readonly Uint8Array[]) {
  return block(little, 1, u16(linkType), u16(0), u32(snaplen), ...options);
}

interface Packet {
  readonly interface?: number;
  readonly stamp?: bigint;
  readonly bytes: Uint8Array;
  readonly original?: number;
  readonly options?: readonly Uint8Array[];
}

const packetBody = ({ stamp = 0n, bytes, original = bytes.length, options = [] }: Packet): Part[] => [
  u32(Number(stamp >> 32n)),
  u32(Number(stamp & 0xffffffffn)),
  u32(bytes.length),
  u32(original),
  pad(bytes),
  ...options,
];

export function enhanced(little: boolean, packet: Packet): Uint8Array {
  return block(little, 6, u32(packet.interface ?? 0), ...packetBody(packet));
}

export function obsolete(little: boolean, packet: Packet): Uint8Array {
  return block(little, 2, u16(packet.interface ?? 0), u16(0xffff), ...packetBody(packet));
}

export function simple(little: boolean, bytes: Uint8Array, original = bytes.length): Uint8Array {
  return block(little, 3, u32(original), pad(bytes));
}

export interface Record {
  readonly seconds: number;
  readonly fraction: number;
  readonly bytes: Uint8Array;
  readonly original?: number;
}

export function pcap(little: boolean, nanoseconds: boolean, records: readonly Record[], network = 1): Uint8Array {
  const magic = nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4;
  const header = pack(little, [u32(magic), u16(2), u16(4), u32(0), u32(0), u32(262144), u32(network)]);
  const packets = records.map(({ seconds, fraction, bytes, original = bytes.length }) =>
    pack(little, [u32(seconds), u32(fraction), u32(bytes.length), u32(original), bytes]),
  );
  return join(header, ...packets);
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

/** A frame that any dissector takes: an ARP request, followed by `extra` bytes of padding. */
export function arpFrame(extra = 0): Uint8Array {
  const arp = hex(`ffffffffffff 7e1a00000001 0806  0001 0800 06 04 0001
    7e1a00000001 c0a84009  000000000000 c0a84001`);
  return join(arp, new Uint8Array(extra).fill(0x5a));
}
