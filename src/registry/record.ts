/**
 * One record of the registry: one VM's address on one network, as bytes. docs/registry.md specifies the format.
 *
 * A record is always RECORD_SIZE bytes and is written with one pwrite: eight hexadecimal digits of CRC-32 over all that
 * follows them, a space, a JSON object, spaces, a newline. A record that a crash left half written has a wrong checksum
 * and is ignored. Records are read strictly: a field that is missing, of another type or out of range makes the record
 * invalid.
 */
import { crc32 } from "node:zlib";
import { formatIPv4, formatMac, parseIPv4, parseMac } from "../wire/address.ts";

/** Bytes. The longest possible content (a client identifier of 255 bytes, 8 DNS servers) has about 1,500. */
export const RECORD_SIZE = 2048;

/** Characters of a control socket's path: as many as a socket's address holds. */
const LONGEST_CONTROL = 107;

/** Characters of a network's name. */
export const LONGEST_NETWORK = 200;

const CHECKSUM = 8;
const VERSION = 1;
const MOST_DNS_SERVERS = 8;
const ORIGINS = ["snooped", "served", "static"] as const;
const STATES = ["none", "bound", "released"] as const;

/** A stored IPv4 address of the VM's binding. Addresses are numbers in host order, MAC addresses have 48 bits. */
export interface KeptAddress {
  readonly address: number;
  readonly origin: (typeof ORIGINS)[number];
  /** 0 = none. */
  readonly server: number;
  readonly netmask: number;
  readonly router: number;
  readonly dnsServers: readonly number[];
  readonly acknowledged?: {
    readonly source: number;
    readonly sourceMac: number;
    readonly clientIdentifier?: Uint8Array;
  };
  /** The lease's end in milliseconds since 1970; Infinity = no end. */
  readonly expires: number;
  /** The same in microseconds since boot. */
  readonly expiresSinceBoot: number;
}

export interface Entry {
  /** Which boot of the host wrote it. */
  readonly boot: string;
  /** Which network; addresses are compared within one. Printable ASCII. */
  readonly network: string;
  /** The VM's. */
  readonly mac: number;
  /** Of the softnet that wrote it. */
  readonly pid: number;
  /** `none`: the VM has no address; `released`: its softnet gave it back when it ended. */
  readonly state: (typeof STATES)[number];
  /** Missing in the state `none`. */
  readonly binding?: KeptAddress;
  /** The path of the control socket; printable ASCII. */
  readonly control?: string;
  /** An address that the VM is about to get; 0 = none. */
  readonly claimed: number;
  /** When this was written: milliseconds since 1970, and microseconds since boot. */
  readonly written: number;
  readonly writtenSinceBoot: number;
}

/** A record's bytes. Throws RangeError when it does not fit. */
export function encodeRecord(entry: Entry): Uint8Array {
  const text = JSON.stringify({
    version: VERSION,
    boot: entry.boot,
    network: entry.network,
    mac: formatMac(entry.mac),
    pid: entry.pid,
    state: entry.state,
    ...(entry.binding && { binding: toJson(entry.binding) }),
    ...(entry.control !== undefined && { control: entry.control }),
    ...(entry.claimed !== 0 && { claimed: formatIPv4(entry.claimed) }),
    written: entry.written,
    writtenSinceBoot: entry.writtenSinceBoot,
  });
  const room = RECORD_SIZE - CHECKSUM - 2;
  if (text.length > room || !isPrintable(entry.network)) throw new RangeError("a record that does not fit");
  const bytes = Buffer.from(`${" ".repeat(CHECKSUM)} ${text.padEnd(room)}\n`, "latin1");
  bytes.write(checksumOf(bytes), 0, "latin1");
  return bytes;
}

function toJson(binding: KeptAddress): object {
  const { acknowledged, expires, expiresSinceBoot } = binding;
  const address = (value: number): string | null => (value === 0 ? null : formatIPv4(value));
  return {
    address: formatIPv4(binding.address),
    origin: binding.origin,
    server: address(binding.server),
    netmask: address(binding.netmask),
    router: address(binding.router),
    dnsServers: binding.dnsServers.map(formatIPv4),
    ...(acknowledged && {
      acknowledged: {
        source: address(acknowledged.source),
        sourceMac: formatMac(acknowledged.sourceMac),
        clientIdentifier: hex(acknowledged.clientIdentifier),
      },
    }),
    expires: endOf(expires),
    expiresSinceBoot: endOf(expiresSinceBoot),
  };
}

function endOf(time: number): number | null {
  if (time === Number.POSITIVE_INFINITY) return null;
  if (!Number.isSafeInteger(time)) throw new RangeError(`${time} is not a time`);
  return time;
}

function hex(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : Buffer.from(bytes).toString("hex");
}

function checksumOf(bytes: Uint8Array): string {
  return crc32(bytes.subarray(CHECKSUM)).toString(16).padStart(CHECKSUM, "0");
}

/** Whether a record may have this control socket's path; `softnet list` prints it on terminals. */
export function isControl(path: string | undefined): path is string {
  return path !== undefined && path.length <= LONGEST_CONTROL && /^\/[ -~]+$/.test(path);
}

function isPrintable(network: string): boolean {
  return network.length <= LONGEST_NETWORK && /^[ -~]+$/.test(network);
}

/** Reads a record; undefined unless it is complete, valid and of this version. */
export function decodeRecord(bytes: Uint8Array): Entry | undefined {
  if (bytes.length !== RECORD_SIZE) return undefined;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  if (text.slice(0, CHECKSUM) !== checksumOf(bytes)) return undefined;
  try {
    return toEntry(new Fields(JSON.parse(text.slice(CHECKSUM))));
  } catch {
    return undefined;
  }
}

function toEntry(fields: Fields): Entry {
  const state = fields.oneOf("state", STATES);
  const network = fields.text("network");
  if (fields.number("version") !== VERSION || !isPrintable(network)) throw new Error("another version");
  const control = fields.has("control") ? fields.text("control") : undefined;
  if (control !== undefined && !isControl(control)) throw new Error("not a path");
  const binding = state === "none" ? undefined : toBinding(fields.object("binding"));
  return {
    boot: fields.text("boot"),
    network,
    mac: fields.mac("mac"),
    pid: fields.number("pid"),
    state,
    ...(binding && { binding }),
    ...(control !== undefined && { control }),
    claimed: fields.has("claimed") ? fields.address("claimed") : 0,
    written: fields.number("written"),
    writtenSinceBoot: fields.number("writtenSinceBoot"),
  };
}

function toBinding(fields: Fields): KeptAddress {
  const dnsServers = fields.list("dnsServers").map((text) => addressOf(text));
  const acknowledged = fields.has("acknowledged") ? fields.object("acknowledged") : undefined;
  const expires = fields.end("expires");
  const expiresSinceBoot = fields.end("expiresSinceBoot");
  if (
    dnsServers.length > MOST_DNS_SERVERS ||
    (expires === Number.POSITIVE_INFINITY) !== (expiresSinceBoot === Number.POSITIVE_INFINITY)
  ) {
    throw new Error("not as it is written");
  }
  return {
    address: fields.address("address"),
    origin: fields.oneOf("origin", ORIGINS),
    server: fields.optionalAddress("server"),
    netmask: fields.optionalAddress("netmask"),
    router: fields.optionalAddress("router"),
    dnsServers,
    ...(acknowledged && {
      acknowledged: {
        source: acknowledged.optionalAddress("source"),
        sourceMac: acknowledged.mac("sourceMac"),
        ...(acknowledged.has("clientIdentifier") && { clientIdentifier: acknowledged.bytes("clientIdentifier") }),
      },
    }),
    expires,
    expiresSinceBoot,
  };
}

function addressOf(value: unknown): number {
  const address = typeof value === "string" ? parseIPv4(value) : undefined;
  if (address === undefined) throw new Error("not an address");
  return address;
}

/** The fields of a JSON object. Each method throws when the field is not of its type. */
class Fields {
  readonly #object: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("not an object");
    this.#object = value as Readonly<Record<string, unknown>>;
  }

  /** Neither missing nor null. */
  has(name: string): boolean {
    return Object.hasOwn(this.#object, name) && this.#object[name] !== null;
  }
  text(name: string): string {
    const value = this.#get(name);
    if (typeof value !== "string" || value.length > RECORD_SIZE) throw new Error(`${name} is not text`);
    return value;
  }
  /** A whole number that is not negative. */
  number(name: string): number {
    const value = this.#get(name);
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error(`${name} is not a number`);
    return value as number;
  }
  /** As `number`; null is Infinity. */
  end(name: string): number {
    return this.has(name) ? this.number(name) : this.#get(name) === null ? Number.POSITIVE_INFINITY : Number.NaN;
  }
  address(name: string): number {
    const address = addressOf(this.#get(name));
    if (address === 0) throw new Error(`${name} is no address`);
    return address;
  }
  /** null is 0. */
  optionalAddress(name: string): number {
    return this.#get(name) === null ? 0 : this.address(name);
  }
  mac(name: string): number {
    const mac = parseMac(this.text(name));
    if (mac === undefined) throw new Error(`${name} is not a MAC address`);
    return mac;
  }
  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = values.find((one) => one === this.#get(name));
    if (value === undefined) throw new Error(`${name} is none of ${values.join()}`);
    return value;
  }
  list(name: string): readonly unknown[] {
    const value = this.#get(name);
    if (!Array.isArray(value)) throw new Error(`${name} is not a list`);
    return value;
  }
  bytes(name: string): Uint8Array {
    const text = this.text(name);
    if (!/^(?:[0-9a-f]{2}){1,255}$/.test(text)) throw new Error(`${name} is not hexadecimal`);
    return Uint8Array.from(Buffer.from(text, "hex"));
  }
  object(name: string): Fields {
    return new Fields(this.#get(name));
  }

  #get(name: string): unknown {
    if (!Object.hasOwn(this.#object, name)) throw new Error(`${name} is missing`);
    return this.#object[name];
  }
}
