/**
 * One record of the registry: one VM's addresses on one network, as bytes. docs/registry.md specifies the format.
 *
 * A record is written with one pwrite, as a line with a checksum (checked-line.ts) of a JSON object and spaces. Of version 1,
 * without IPv6, it always has RECORD_SIZE bytes. Of version 2 it has a multiple of that, which changes from write to write:
 * it ends with the file's first newline, and what is behind that is left over from a longer one.
 */
import { formatIPv4, formatMac } from "../wire/address.ts";
import { CHECKED_EXTRA, checkedLine, NEWLINE, readCheckedLine } from "./checked-line.ts";
import { addressOf, endOf, Fields } from "./fields.ts";
import {
  type ClaimedIPv6Address,
  claimOfIPv6,
  claimOfIPv6ToJson,
  type KeptIPv6Address,
  keptIPv6,
  keptIPv6ToJson,
  MOST_CLAIMED_IPV6,
  MOST_KEPT_IPV6,
} from "./record-ipv6.ts";
import { isVmName } from "./vm-names.ts";

/** Bytes. The longest possible content without IPv6 (a client identifier of 255 bytes, 8 DNS servers) has about 1,500. */
export const RECORD_SIZE = 2048;

/** Bytes of the longest record: 20 IPv6 addresses with the longest DUIDs have some 15,000, and 20 claims 2,000. */
export const LARGEST_RECORD = 10 * RECORD_SIZE;

/** Characters of a control socket's path: as many as a socket's address holds. */
const LONGEST_CONTROL = 107;

/** Characters of a network's name. */
export const LONGEST_NETWORK = 200;

/** Without IPv6, and with it. */
const IPV4_ONLY = 1;
const WITH_IPV6 = 2;
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
  /** Of the IPv4 address. `none`: the VM has none; `released`: its softnet gave it back when it ended. */
  readonly state: (typeof STATES)[number];
  /** Missing in the state `none`. */
  readonly binding?: KeptAddress;
  /** The path of the control socket; printable ASCII. */
  readonly control?: string;
  /** What `--name` calls the VM. */
  readonly name?: string;
  /** An address that the VM is about to get; 0 = none. */
  readonly claimed: number;
  /** The VM's IPv6 addresses, at most MOST_KEPT_IPV6; absent where its softnet runs without IPv6. `state` is not theirs. */
  readonly ipv6?: readonly KeptIPv6Address[];
  /** IPv6 addresses that the VM is about to get, at most MOST_CLAIMED_IPV6. */
  readonly claimedIPv6?: readonly ClaimedIPv6Address[];
  /** When this was written: milliseconds since 1970, and microseconds since boot. */
  readonly written: number;
  readonly writtenSinceBoot: number;
}

/** A record's bytes. Throws RangeError when it does not fit. */
export function encodeRecord(entry: Entry): Uint8Array {
  const { ipv6, claimedIPv6 = [] } = entry;
  const text = JSON.stringify({
    version: ipv6 === undefined ? IPV4_ONLY : WITH_IPV6,
    boot: entry.boot,
    network: entry.network,
    mac: formatMac(entry.mac),
    pid: entry.pid,
    state: entry.state,
    ...(entry.binding && { binding: toJson(entry.binding) }),
    ...(entry.control !== undefined && { control: entry.control }),
    ...(entry.name !== undefined && { name: entry.name }),
    ...(entry.claimed !== 0 && { claimed: formatIPv4(entry.claimed) }),
    ...(ipv6 !== undefined && { ipv6: ipv6.map(keptIPv6ToJson) }),
    ...(claimedIPv6.length > 0 && { claimedIPv6: claimedIPv6.map(claimOfIPv6ToJson) }),
    written: entry.written,
    writtenSinceBoot: entry.writtenSinceBoot,
  });
  const size = Math.ceil((text.length + CHECKED_EXTRA) / RECORD_SIZE) * RECORD_SIZE;
  if (
    size > (ipv6 === undefined ? RECORD_SIZE : LARGEST_RECORD) ||
    (ipv6?.length ?? 0) > MOST_KEPT_IPV6 ||
    claimedIPv6.length > (ipv6 === undefined ? 0 : MOST_CLAIMED_IPV6) ||
    !isPrintable(entry.network)
  ) {
    throw new RangeError("a record that does not fit");
  }
  return checkedLine(text, size);
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

function hex(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : Buffer.from(bytes).toString("hex");
}

/** Whether a record may have this control socket's path; `softnet list` prints it on terminals. */
export function isControl(path: string | undefined): path is string {
  return path !== undefined && path.length <= LONGEST_CONTROL && /^\/[ -~]+$/.test(path);
}

function isPrintable(network: string): boolean {
  return network.length <= LONGEST_NETWORK && /^[ -~]+$/.test(network);
}

/** Reads the record at the beginning of a file's bytes; undefined unless it is complete, valid and of a known version. */
export function decodeRecord(file: Uint8Array): Entry | undefined {
  const size = file.indexOf(NEWLINE) + 1;
  if (size === 0 || size % RECORD_SIZE !== 0 || size > LARGEST_RECORD) return undefined;
  const text = readCheckedLine(file.subarray(0, size));
  if (text === undefined) return undefined;
  try {
    const fields = new Fields(JSON.parse(text));
    const version = fields.number("version");
    if (version === WITH_IPV6) return { ...toEntry(fields), ...toIPv6(fields) };
    return version === IPV4_ONLY && file.length === RECORD_SIZE ? toEntry(fields) : undefined;
  } catch {
    return undefined;
  }
}

/** What version 2 has beside the fields of version 1. */
function toIPv6(fields: Fields): Pick<Entry, "ipv6" | "claimedIPv6"> {
  const ipv6 = fields.list("ipv6").map((value) => keptIPv6(new Fields(value)));
  const claims = fields.has("claimedIPv6") ? fields.list("claimedIPv6") : [];
  const claimedIPv6 = claims.map((value) => claimOfIPv6(new Fields(value)));
  if (ipv6.length > MOST_KEPT_IPV6 || claimedIPv6.length > MOST_CLAIMED_IPV6) throw new Error("too many addresses");
  return { ipv6, ...(claimedIPv6.length > 0 && { claimedIPv6 }) };
}

function toEntry(fields: Fields): Entry {
  const state = fields.oneOf("state", STATES);
  const network = fields.text("network");
  if (!isPrintable(network)) throw new Error("not printable");
  const control = fields.has("control") ? fields.text("control") : undefined;
  if (control !== undefined && !isControl(control)) throw new Error("not a path");
  const name = fields.has("name") ? fields.text("name") : undefined;
  if (name !== undefined && !isVmName(name)) throw new Error("not a name");
  const binding = state === "none" ? undefined : toBinding(fields.object("binding"));
  return {
    boot: fields.text("boot"),
    network,
    mac: fields.mac("mac"),
    pid: fields.number("pid"),
    state,
    ...(binding && { binding }),
    ...(control !== undefined && { control }),
    ...(name !== undefined && { name }),
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
