/**
 * DHCP messages (RFC 2131, RFC 2132). A `DhcpMessage` is made once and reused, so that reading allocates nothing.
 * Reading goes through the option fields in the order of RFC 3396 section 5 (options, file, sname, the latter two as
 * option 52 says). It refuses a message that two readers could understand differently, since the filter and the guest
 * must read the same (threat rows D14, D15, D23).
 */
import { getMac, putMac } from "./address.ts";
import { get16, get32, put16, put32 } from "./bytes.ts";
import { fullNameOf, isSameName, nameOf } from "./dhcp-names.ts";
import { defaultRouter, leadsElsewhere, listsOther } from "./dhcp-routes.ts";

const OP = 0;
const HTYPE = 1;
const HLEN = 2;
const HOPS = 3;
const XID = 4;
const FLAGS = 10;
const CIADDR = 12;
const YIADDR = 16;
const GIADDR = 24;
const CHADDR = 28;
const SNAME = 44;
const SNAME_LENGTH = 64;
const FILE = 108;
const FILE_LENGTH = 128;
const COOKIE = 236;
const OPTIONS = 240;

const MAGIC_COOKIE = 0x63825363;
/** Shortest message in bytes that all BOOTP relays and servers accept (RFC 951: 300). */
const SMALLEST_MESSAGE = 300;

export const DHCP_CLIENT_PORT = 68;
export const DHCP_SERVER_PORT = 67;

export const BOOT_REQUEST = 1;
export const BOOT_REPLY = 2;

export const DHCP_DISCOVER = 1;
export const DHCP_OFFER = 2;
export const DHCP_REQUEST = 3;
export const DHCP_DECLINE = 4;
export const DHCP_ACK = 5;
export const DHCP_NAK = 6;
export const DHCP_RELEASE = 7;
export const DHCP_INFORM = 8;

export const OPTION_PAD = 0;
export const OPTION_SUBNET_MASK = 1;
export const OPTION_ROUTER = 3;
export const OPTION_DNS_SERVER = 6;
export const OPTION_HOST_NAME = 12;
export const OPTION_INTERFACE_MTU = 26;
export const OPTION_STATIC_ROUTES = 33;
export const OPTION_REQUESTED_ADDRESS = 50;
export const OPTION_LEASE_TIME = 51;
export const OPTION_OVERLOAD = 52;
export const OPTION_MESSAGE_TYPE = 53;
export const OPTION_SERVER_IDENTIFIER = 54;
export const OPTION_PARAMETER_LIST = 55;
export const OPTION_RENEWAL_TIME = 58;
export const OPTION_REBINDING_TIME = 59;
export const OPTION_CLIENT_IDENTIFIER = 61;
export const OPTION_RAPID_COMMIT = 80;
export const OPTION_FULL_NAME = 81;
export const OPTION_RELAY_AGENT = 82;
export const OPTION_CLASSLESS_ROUTES = 121;
/** Option 121 by the number that it had before RFC 3442. */
export const OPTION_CLASSLESS_ROUTES_OLD = 249;
export const OPTION_END = 255;

export const BROADCAST_FLAG = 0x8000;

/** Longest client identifier that is kept, in bytes. */
export const LONGEST_CLIENT_IDENTIFIER = 255;
/** DNS servers that are kept from option 6. */
export const MOST_DNS_SERVERS = 8;
/** Longest list of routes or routers that is read, in bytes. */
export const LONGEST_ROUTES = 512;
/** Longest name that is read, in bytes. */
const LONGEST_NAME = 255;

/** An option of variable length, concatenated from its parts (RFC 3396); `capacity` bytes are kept, all counted. */
class Collected {
  readonly bytes: Uint8Array;
  length = 0;
  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }
  append(from: Uint8Array, at: number, length: number): void {
    const kept = Math.min(length, this.bytes.length - this.length);
    for (let index = 0; index < kept; index++) this.bytes[this.length + index] = from[at + index]!;
    this.length += length;
  }
}

export class DhcpMessage {
  op = 0;
  htype = 0;
  hlen = 0;
  hops = 0;
  xid = 0;
  flags = 0;
  ciaddr = 0;
  yiaddr = 0;
  giaddr = 0;
  /** The first 6 bytes of chaddr. */
  chaddr = 0;
  /** Option 53. */
  messageType = 0;
  /** Option 50; 0 = not there (or 0.0.0.0, which no one can ask for). */
  requestedAddress = 0;
  /** Option 54; 0 = not there. */
  serverIdentifier = 0;
  /** Option 51 in seconds; -1 = not there. */
  leaseTime = -1;
  /** Option 80 (RFC 4039). */
  rapidCommit = false;
  /** Option 82 (RFC 3046). */
  relayAgent = false;

  readonly #netmask = new Collected(4);
  readonly #routers = new Collected(LONGEST_ROUTES);
  readonly #staticRoutes = new Collected(LONGEST_ROUTES);
  readonly #routes = new Collected(LONGEST_ROUTES);
  readonly #routesOld = new Collected(LONGEST_ROUTES);
  readonly #hostName = new Collected(LONGEST_NAME);
  readonly #fullName = new Collected(LONGEST_NAME);
  readonly #dnsServers = new Collected(4 * MOST_DNS_SERVERS);
  readonly #clientIdentifier = new Collected(LONGEST_CLIENT_IDENTIFIER);
  /** Bit per option of fixed length that was seen: more than one drops the message. */
  #seen = 0;
  #overload = 0;

  /** Option 1; 0 = not there, or not of 4 bytes. */
  get netmask(): number {
    return this.#netmask.length === 4 ? get32(this.#netmask.bytes, 0) : 0;
  }
  /** The router of the default route: that of option 121, else of 249, else the first of option 3; 0 = none. */
  get router(): number {
    return routerOf(this.#routes) || routerOf(this.#routesOld) || this.firstRouter;
  }
  /** The first address of option 3; 0 = none. */
  get firstRouter(): number {
    return this.#routers.length >= 4 ? get32(this.#routers.bytes, 0) : 0;
  }
  /**
   * Whether option 3, or a route of options 33, 121 and 249, names another router than this one; true also when one of
   * them is malformed.
   */
  namesOtherRouter(router: number): boolean {
    const lists = [this.#routers, this.#staticRoutes, this.#routes, this.#routesOld];
    return (
      lists.some(({ length }) => length > LONGEST_ROUTES) ||
      listsOther(this.#routers.bytes, this.#routers.length, 4, router) ||
      listsOther(this.#staticRoutes.bytes, this.#staticRoutes.length, 8, router) ||
      leadsElsewhere(this.#routes.bytes, this.#routes.length, router) ||
      leadsElsewhere(this.#routesOld.bytes, this.#routesOld.length, router)
    );
  }
  /**
   * Whether options 12 and 81 give the client no other name than this one (in lower case), except for an added domain.
   */
  hasNoNameBut(name: string): boolean {
    const host = this.#hostName;
    const full = this.#fullName;
    if (host.length > LONGEST_NAME || full.length > LONGEST_NAME) return false;
    return isSameName(nameOf(host.bytes, host.length), name) && isSameName(fullNameOf(full.bytes, full.length), name);
  }
  /** How many whole addresses option 6 has, at most MOST_DNS_SERVERS. */
  get dnsServerCount(): number {
    return Math.min(MOST_DNS_SERVERS, this.#dnsServers.length >>> 2);
  }
  dnsServer(index: number): number {
    return get32(this.#dnsServers.bytes, index * 4);
  }
  /** Bytes of option 61; 0 = not there. */
  get clientIdentifierLength(): number {
    return this.#clientIdentifier.length;
  }
  /** Option 61's bytes; the first `clientIdentifierLength` are valid until the next `read`. */
  get clientIdentifier(): Uint8Array {
    return this.#clientIdentifier.bytes;
  }

  /** Reads `length` bytes of a UDP payload; false = not a DHCP message, or one that can be read in two ways. */
  read(bytes: Uint8Array, at: number, length: number): boolean {
    if (length < OPTIONS || get32(bytes, at + COOKIE) !== MAGIC_COOKIE) return false;
    this.#reset();
    this.op = bytes[at + OP]!;
    this.htype = bytes[at + HTYPE]!;
    this.hlen = bytes[at + HLEN]!;
    this.hops = bytes[at + HOPS]!;
    this.xid = get32(bytes, at + XID);
    this.flags = get16(bytes, at + FLAGS);
    this.ciaddr = get32(bytes, at + CIADDR);
    this.yiaddr = get32(bytes, at + YIADDR);
    this.giaddr = get32(bytes, at + GIADDR);
    this.chaddr = getMac(bytes, at + CHADDR);
    return (
      this.#walk(bytes, at + OPTIONS, at + length) &&
      ((this.#overload & 1) === 0 || this.#walk(bytes, at + FILE, at + FILE + FILE_LENGTH)) &&
      ((this.#overload & 2) === 0 || this.#walk(bytes, at + SNAME, at + SNAME + SNAME_LENGTH)) &&
      this.messageType !== 0 &&
      this.#clientIdentifier.length <= LONGEST_CLIENT_IDENTIFIER
    );
  }

  #reset(): void {
    this.messageType = 0;
    this.requestedAddress = 0;
    this.serverIdentifier = 0;
    this.leaseTime = -1;
    this.rapidCommit = false;
    this.relayAgent = false;
    this.#netmask.length = 0;
    this.#routers.length = 0;
    this.#staticRoutes.length = 0;
    this.#hostName.length = 0;
    this.#fullName.length = 0;
    this.#routes.length = 0;
    this.#routesOld.length = 0;
    this.#dnsServers.length = 0;
    this.#clientIdentifier.length = 0;
    this.#seen = 0;
    this.#overload = 0;
  }

  /** Reads one field of options; false when an option runs past the field, or one of fixed length occurs twice. */
  #walk(bytes: Uint8Array, at: number, end: number): boolean {
    while (at < end) {
      const code = bytes[at]!;
      if (code === OPTION_PAD) {
        at++;
        continue;
      }
      if (code === OPTION_END) return true;
      if (at + 2 > end) return false;
      const length = bytes[at + 1]!;
      const value = at + 2;
      if (value + length > end) return false;
      if (!this.#take(code, bytes, value, length)) return false;
      at = value + length;
    }
    return true;
  }

  #take(code: number, bytes: Uint8Array, value: number, length: number): boolean {
    switch (code) {
      case OPTION_SUBNET_MASK:
        this.#netmask.append(bytes, value, length);
        return true;
      case OPTION_ROUTER:
        this.#routers.append(bytes, value, length);
        return true;
      case OPTION_STATIC_ROUTES:
        this.#staticRoutes.append(bytes, value, length);
        return true;
      case OPTION_HOST_NAME:
        this.#hostName.append(bytes, value, length);
        return true;
      case OPTION_FULL_NAME:
        this.#fullName.append(bytes, value, length);
        return true;
      case OPTION_CLASSLESS_ROUTES:
        this.#routes.append(bytes, value, length);
        return true;
      case OPTION_CLASSLESS_ROUTES_OLD:
        this.#routesOld.append(bytes, value, length);
        return true;
      case OPTION_DNS_SERVER:
        this.#dnsServers.append(bytes, value, length);
        return true;
      case OPTION_CLIENT_IDENTIFIER:
        this.#clientIdentifier.append(bytes, value, length);
        return true;
      case OPTION_REQUESTED_ADDRESS:
        if (!this.#once(1) || length !== 4) return false;
        this.requestedAddress = get32(bytes, value);
        return true;
      case OPTION_LEASE_TIME:
        if (!this.#once(2) || length !== 4) return false;
        this.leaseTime = get32(bytes, value);
        return true;
      case OPTION_OVERLOAD:
        if (!this.#once(4) || length !== 1) return false;
        this.#overload = bytes[value]!;
        return this.#overload >= 1 && this.#overload <= 3;
      case OPTION_MESSAGE_TYPE:
        if (!this.#once(8) || length !== 1) return false;
        this.messageType = bytes[value]!;
        return true;
      case OPTION_SERVER_IDENTIFIER:
        if (!this.#once(16) || length !== 4) return false;
        this.serverIdentifier = get32(bytes, value);
        return true;
      case OPTION_RAPID_COMMIT:
        this.rapidCommit = true;
        return true;
      case OPTION_RELAY_AGENT:
        this.relayAgent = true;
        return true;
      default:
        return true;
    }
  }

  #once(bit: number): boolean {
    const first = (this.#seen & bit) === 0;
    this.#seen |= bit;
    return first;
  }
}

function routerOf({ bytes, length }: Collected): number {
  return length > LONGEST_ROUTES ? 0 : defaultRouter(bytes, length);
}

/** Bytes of option 50. */
export const REQUESTED_ADDRESS_LENGTH = 6;

/**
 * Writes the renewal of `length` bytes at `at` to `out` at `to` as INIT-REBOOT with the broadcast flag: ciaddr becomes
 * option 50, before the first option, so that the copy is REQUESTED_ADDRESS_LENGTH bytes longer.
 */
export function putAsInitReboot(bytes: Uint8Array, at: number, length: number, out: Uint8Array, to: number): void {
  for (let index = 0; index < OPTIONS; index++) out[to + index] = bytes[at + index]!;
  put16(out, to + FLAGS, get16(bytes, at + FLAGS) | BROADCAST_FLAG);
  put32(out, to + CIADDR, 0);
  out[to + OPTIONS] = OPTION_REQUESTED_ADDRESS;
  out[to + OPTIONS + 1] = 4;
  put32(out, to + OPTIONS + 2, get32(bytes, at + CIADDR));
  const further = to + REQUESTED_ADDRESS_LENGTH;
  for (let index = OPTIONS; index < length; index++) out[further + index] = bytes[at + index]!;
}

export interface DhcpFields {
  readonly op: number;
  readonly xid: number;
  readonly chaddr: number;
  readonly flags?: number;
  readonly ciaddr?: number;
  readonly yiaddr?: number;
  readonly giaddr?: number;
  /** Code and value of each option in order, option 53 among them; the end option is added. */
  readonly options: readonly (readonly [code: number, value: Uint8Array])[];
}

/** A DHCP message as a UDP payload, padded to 300 bytes. Values over 255 bytes are split (RFC 3396). */
export function emitDhcp(fields: DhcpFields): Uint8Array {
  const options: number[] = [];
  for (const [code, value] of fields.options) {
    let at = 0;
    do {
      const part = value.subarray(at, at + 255);
      options.push(code, part.length, ...part);
      at += part.length;
    } while (at < value.length);
  }
  options.push(OPTION_END);
  const message = new Uint8Array(Math.max(SMALLEST_MESSAGE, OPTIONS + options.length));
  message[OP] = fields.op;
  message[HTYPE] = 1;
  message[HLEN] = 6;
  put32(message, XID, fields.xid);
  put16(message, FLAGS, fields.flags ?? 0);
  put32(message, CIADDR, fields.ciaddr ?? 0);
  put32(message, YIADDR, fields.yiaddr ?? 0);
  put32(message, GIADDR, fields.giaddr ?? 0);
  putMac(message, CHADDR, fields.chaddr);
  put32(message, COOKIE, MAGIC_COOKIE);
  message.set(options, OPTIONS);
  return message;
}
