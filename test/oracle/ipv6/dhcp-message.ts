/** A DHCPv6 message (RFC 8415 8, 21) taken apart; what can be read in two ways is none. */
import { uint16, uint32 } from "../bytes.ts";
import { addressAt } from "./bytes.ts";

export interface Assigned {
  readonly address: bigint;
  readonly preferred: number;
  readonly valid: number;
  /** 0 where there is none. */
  readonly status: number;
}

export interface Association {
  readonly kind: number;
  readonly iaid: number;
  readonly status: number;
  readonly addresses: readonly Assigned[];
}

export interface Message {
  readonly type: number;
  readonly xid: number;
  /** DUIDs as hexadecimal digits. */
  readonly client: string | undefined;
  readonly server: string | undefined;
  readonly rapidCommit: boolean;
  readonly status: number;
  readonly ias: readonly Association[];
  /** The address of ADDR-REG-INFORM and ADDR-REG-REPLY. */
  readonly registered: bigint | undefined;
  readonly dns: readonly bigint[];
}

const CLIENT = 1;
const SERVER = 2;
export const IA_NA = 3;
export const IA_TA = 4;
const IAADDR = 5;
const STATUS = 13;
const RAPID_COMMIT = 14;
const DNS = 23;
const IA_PD = 25;
const IAS = [IA_NA, IA_TA, IA_PD];
/** Bytes before the options. */
const FIXED: Record<number, number> = { [IA_NA]: 12, [IA_TA]: 4, [IA_PD]: 12 };
const REGISTRATION = [36, 37];

class Malformed extends Error {}

interface Option {
  readonly code: number;
  readonly data: Uint8Array;
}

function options(bytes: Uint8Array): Option[] {
  const all: Option[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 4 > bytes.length) throw new Malformed();
    const length = uint16(bytes, at + 2);
    if (at + 4 + length > bytes.length) throw new Malformed();
    all.push({ code: uint16(bytes, at), data: bytes.slice(at + 4, at + 4 + length) });
    at += 4 + length;
  }
  return all;
}

/** Undefined for what is no message. */
export function readMessage(bytes: Uint8Array): Message | undefined {
  try {
    return read(bytes);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

function read(bytes: Uint8Array): Message {
  if (bytes.length < 4) throw new Malformed();
  const type = bytes[0]!;
  const top = options(bytes.slice(4));
  const ias = top.filter(({ code }) => IAS.includes(code)).map(association);
  const own = top.filter(({ code }) => code === IAADDR).map(assigned);
  if (own.length !== (REGISTRATION.includes(type) ? 1 : 0)) throw new Malformed();
  const inAssociations = ias.flatMap(({ addresses }) => addresses);
  if (REGISTRATION.includes(type) && inAssociations.length > 0) throw new Malformed();
  if (ias.length > 8 || own.length + inAssociations.length > 16) throw new Malformed();
  return {
    type,
    xid: uint32(bytes, 0) % 2 ** 24,
    client: identifier(top, CLIENT),
    server: identifier(top, SERVER),
    rapidCommit: top.some(({ code }) => code === RAPID_COMMIT),
    status: status(top),
    ias,
    registered: own[0]?.address,
    dns: dnsServers(top),
  };
}

function identifier(top: readonly Option[], wanted: number): string | undefined {
  const found = top.filter(({ code }) => code === wanted);
  if (found.length > 1) throw new Malformed();
  const length = found[0]?.data.length;
  if (length === undefined) return undefined;
  if (length < 1 || length > 130) throw new Malformed();
  return Buffer.from(found[0]!.data).toString("hex");
}

/** The first status code other than 0. */
function status(list: readonly Option[]): number {
  const codes = list.filter(({ code }) => code === STATUS);
  if (codes.some(({ data }) => data.length < 2)) throw new Malformed();
  return codes.map(({ data }) => uint16(data, 0)).find((code) => code !== 0) ?? 0;
}

function association({ code, data }: Option): Association {
  const before = FIXED[code]!;
  if (data.length < before) throw new Malformed();
  const kind = code;
  const iaid = uint32(data, 0);
  // What a delegated prefix is made of is nobody's business here.
  if (code === IA_PD) return { kind, iaid, status: 0, addresses: [] };
  const inside = options(data.slice(before));
  if (inside.some((option) => IAS.includes(option.code))) throw new Malformed();
  const addresses = inside.filter((option) => option.code === IAADDR).map(assigned);
  return { kind, iaid, status: status(inside), addresses };
}

function assigned({ data }: Option): Assigned {
  if (data.length < 24) throw new Malformed();
  const inside = options(data.slice(24));
  if (inside.some(({ code }) => code === IAADDR || IAS.includes(code))) throw new Malformed();
  return { address: addressAt(data, 0), preferred: uint32(data, 16), valid: uint32(data, 20), status: status(inside) };
}

/** Whole addresses of the first of these options. */
function dnsServers(top: readonly Option[]): bigint[] {
  const data = top.find(({ code }) => code === DNS)?.data ?? new Uint8Array(0);
  return Array.from({ length: Math.floor(data.length / 16) }, (_, index) => addressAt(data, index * 16));
}
