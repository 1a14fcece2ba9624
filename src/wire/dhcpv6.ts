/**
 * DHCPv6 messages (RFC 8415) of clients and servers. A `Dhcpv6Message` is made once and reused, so that reading allocates
 * nothing. It refuses a message that two readers could understand differently, since the filter and the guest must read the
 * same. What is in a message is known by where it is in the array that was read.
 */
import { get16, get32 } from "./bytes.ts";
import { readWords } from "./ipv6.ts";
import { getIPv6 } from "./ipv6-address.ts";

export const DHCPV6_CLIENT_PORT = 546;
export const DHCPV6_SERVER_PORT = 547;

export const DHCPV6_SOLICIT = 1;
export const DHCPV6_ADVERTISE = 2;
export const DHCPV6_REQUEST = 3;
export const DHCPV6_CONFIRM = 4;
export const DHCPV6_RENEW = 5;
export const DHCPV6_REBIND = 6;
export const DHCPV6_REPLY = 7;
export const DHCPV6_RELEASE = 8;
export const DHCPV6_DECLINE = 9;
export const DHCPV6_INFORMATION_REQUEST = 11;
/** RFC 9686. */
export const DHCPV6_ADDR_REG_INFORM = 36;
export const DHCPV6_ADDR_REG_REPLY = 37;

/** ff02::1:2, all servers and relays of a link (RFC 8415 7.1), and its Ethernet address. */
export const DHCPV6_SERVERS = { mac: 0x333300010002, address: 0xff020000_00000000_00000000_00010002n } as const;

export const DHCPV6_CLIENT_ID = 1;
export const DHCPV6_SERVER_ID = 2;
export const OPTION_IA_NA = 3;
export const OPTION_IA_TA = 4;
export const OPTION_IAADDR = 5;
export const OPTION_ELAPSED_TIME = 8;
const OPTION_STATUS = 13;
const OPTION_RAPID_COMMIT = 14;
export const DHCPV6_DNS = 23;
export const OPTION_IA_PD = 25;

/** Type and transaction id. */
const HEADER = 4;
const OPTION_HEADER = 4;
const ADDRESS = 16;
/** Bytes before the options of an option. */
const IA_NA_HEADER = 12;
const IA_TA_HEADER = 4;
const IAADDR_HEADER = 24;

const LONGEST_IDENTIFIER = 130;
const MOST_ASSOCIATIONS = 8;
const MOST_ADDRESSES = 16;

/** Success, or no status at all. */
export const STATUS_SUCCESS = 0;
/** Of an address that is in no association. */
export const NO_ASSOCIATION = -1;
const NO_STATUS = -1;

/** Infinity, in the lifetimes of RFC 8415 7.7. */
export const FOREVER6 = 0xffffffff;

export class Dhcpv6Message {
  #bytes: Uint8Array = new Uint8Array(0);
  type = 0;
  /** 24 bits. */
  xid = 0;
  rapidCommit = false;
  /** Where the identifiers' values begin, and their bytes; length 0 = there is none. */
  #clientAt = 0;
  #clientLength = 0;
  #serverAt = 0;
  #serverLength = 0;
  #status = NO_STATUS;
  associations = 0;
  readonly #kinds = new Uint8Array(MOST_ASSOCIATIONS);
  readonly #iaids = new Uint32Array(MOST_ASSOCIATIONS);
  readonly #statuses = new Int32Array(MOST_ASSOCIATIONS);
  addresses = 0;
  readonly #owners = new Int8Array(MOST_ADDRESSES);
  readonly #at = new Uint32Array(MOST_ADDRESSES);
  readonly #addressStatuses = new Int32Array(MOST_ADDRESSES);
  /** Whole addresses in the first option with DNS servers, and where they begin. */
  dnsServers = 0;
  #dnsAt = 0;

  /** Reads the `length` bytes at `at`; false where it is no message, or one that can be read in two ways. */
  read(bytes: Uint8Array, at: number, length: number): boolean {
    this.#clear();
    this.#bytes = bytes;
    if (length < HEADER) return false;
    this.type = bytes[at]!;
    this.xid = get32(bytes, at) & 0xffffff;
    if (!this.#readOptions(at + HEADER, at + length)) return false;
    return this.#isRegistration ? this.addresses === 1 && this.#owners[0] === NO_ASSOCIATION : true;
  }

  get #isRegistration(): boolean {
    return this.type === DHCPV6_ADDR_REG_INFORM || this.type === DHCPV6_ADDR_REG_REPLY;
  }

  #clear(): void {
    this.type = 0;
    this.xid = 0;
    this.rapidCommit = false;
    this.#clientLength = 0;
    this.#serverLength = 0;
    this.#status = NO_STATUS;
    this.associations = 0;
    this.addresses = 0;
    this.dnsServers = 0;
    this.#dnsAt = 0;
  }

  #readOptions(from: number, end: number): boolean {
    const bytes = this.#bytes;
    for (let at = from; at < end; ) {
      const value = at + OPTION_HEADER;
      if (value > end) return false;
      const length = get16(bytes, at + 2);
      if (value + length > end) return false;
      if (!this.#readOption(get16(bytes, at), value, length)) return false;
      at = value + length;
    }
    return true;
  }

  #readOption(code: number, value: number, length: number): boolean {
    switch (code) {
      case DHCPV6_CLIENT_ID:
        if (this.#clientLength !== 0 || !isIdentifierLength(length)) return false;
        this.#clientAt = value;
        this.#clientLength = length;
        return true;
      case DHCPV6_SERVER_ID:
        if (this.#serverLength !== 0 || !isIdentifierLength(length)) return false;
        this.#serverAt = value;
        this.#serverLength = length;
        return true;
      case OPTION_IA_NA:
      case OPTION_IA_TA:
      case OPTION_IA_PD:
        return this.#readAssociation(code, value, length);
      case OPTION_IAADDR:
        return this.#isRegistration && this.#readAddress(NO_ASSOCIATION, value, length);
      case OPTION_STATUS:
        if (length < 2) return false;
        this.#status = Math.max(this.#status, get16(this.#bytes, value));
        return true;
      case OPTION_RAPID_COMMIT:
        this.rapidCommit = true;
        return true;
      case DHCPV6_DNS:
        if (this.#dnsAt === 0) this.dnsServers = Math.floor(length / ADDRESS);
        this.#dnsAt ||= value;
        return true;
      default:
        return true;
    }
  }

  #readAssociation(kind: number, value: number, length: number): boolean {
    const header = kind === OPTION_IA_TA ? IA_TA_HEADER : IA_NA_HEADER;
    if (length < header || this.associations === MOST_ASSOCIATIONS) return false;
    const index = this.associations++;
    this.#kinds[index] = kind;
    this.#iaids[index] = get32(this.#bytes, value);
    this.#statuses[index] = NO_STATUS;
    // A delegated prefix makes no address the VM's.
    return kind === OPTION_IA_PD || this.#readInner(index, value + header, value + length);
  }

  /** The options in an IA_NA or IA_TA. */
  #readInner(association: number, from: number, end: number): boolean {
    const bytes = this.#bytes;
    for (let at = from; at < end; ) {
      const value = at + OPTION_HEADER;
      if (value > end) return false;
      const code = get16(bytes, at);
      const length = get16(bytes, at + 2);
      if (value + length > end || isAssociation(code)) return false;
      if (code === OPTION_IAADDR) {
        if (!this.#readAddress(association, value, length)) return false;
      } else if (code === OPTION_STATUS) {
        if (length < 2) return false;
        this.#statuses[association] = Math.max(this.#statuses[association]!, get16(bytes, value));
      }
      at = value + length;
    }
    return true;
  }

  #readAddress(association: number, value: number, length: number): boolean {
    if (length < IAADDR_HEADER || this.addresses === MOST_ADDRESSES) return false;
    const index = this.addresses++;
    this.#owners[index] = association;
    this.#at[index] = value;
    this.#addressStatuses[index] = NO_STATUS;
    const bytes = this.#bytes;
    const end = value + length;
    for (let at = value + IAADDR_HEADER; at < end; ) {
      const inner = at + OPTION_HEADER;
      if (inner > end) return false;
      const code = get16(bytes, at);
      const size = get16(bytes, at + 2);
      if (inner + size > end || isAssociation(code) || code === OPTION_IAADDR) return false;
      if (code === OPTION_STATUS) {
        if (size < 2) return false;
        this.#addressStatuses[index] = Math.max(this.#addressStatuses[index]!, get16(bytes, inner));
      }
      at = inner + size;
    }
    return true;
  }

  get hasClient(): boolean {
    return this.#clientLength > 0;
  }

  get hasServer(): boolean {
    return this.#serverLength > 0;
  }

  /** A copy of the client identifier; empty = there is none. */
  get client(): Uint8Array {
    return this.#bytes.slice(this.#clientAt, this.#clientAt + this.#clientLength);
  }

  get server(): Uint8Array {
    return this.#bytes.slice(this.#serverAt, this.#serverAt + this.#serverLength);
  }

  isClient(identifier: Uint8Array): boolean {
    return this.#isSame(identifier, this.#clientAt, this.#clientLength);
  }

  isServer(identifier: Uint8Array): boolean {
    return this.#isSame(identifier, this.#serverAt, this.#serverLength);
  }

  #isSame(identifier: Uint8Array, at: number, length: number): boolean {
    if (identifier.length !== length) return false;
    for (let index = 0; index < length; index++) if (identifier[index] !== this.#bytes[at + index]) return false;
    return true;
  }

  /** Whether the message as a whole has no other status than success. */
  get succeeds(): boolean {
    return this.#status <= STATUS_SUCCESS;
  }

  /** OPTION_IA_NA, OPTION_IA_TA or OPTION_IA_PD. */
  kindOf(association: number): number {
    return this.#kinds[association]!;
  }

  iaidOf(association: number): number {
    return this.#iaids[association]!;
  }

  /** The association that an address is in, or NO_ASSOCIATION. */
  associationOf(address: number): number {
    return this.#owners[address]!;
  }

  /** Whether neither the address nor its association has another status than success. */
  isGiven(address: number): boolean {
    const association = this.#owners[address]!;
    const outer = association === NO_ASSOCIATION ? STATUS_SUCCESS : this.#statuses[association]!;
    return outer <= STATUS_SUCCESS && this.#addressStatuses[address]! <= STATUS_SUCCESS;
  }

  /** Reads an address into four signed words. */
  readAddressWords(address: number, words: Int32Array): void {
    readWords(this.#bytes, this.#at[address]!, words);
  }

  addressOf(address: number): bigint {
    return getIPv6(this.#bytes, this.#at[address]!);
  }

  /** Seconds; FOREVER6 = it has no end. */
  preferredLifetimeOf(address: number): number {
    return get32(this.#bytes, this.#at[address]! + 16);
  }

  validLifetimeOf(address: number): number {
    return get32(this.#bytes, this.#at[address]! + 20);
  }

  dnsServerOf(index: number): bigint {
    return getIPv6(this.#bytes, this.#dnsAt + ADDRESS * index);
  }
}

/** Messages of a client's that are for one server. */
export function mustNameServer(type: number): boolean {
  return type === DHCPV6_REQUEST || type === DHCPV6_RENEW || type === DHCPV6_RELEASE || type === DHCPV6_DECLINE;
}

function isIdentifierLength(length: number): boolean {
  return length >= 1 && length <= LONGEST_IDENTIFIER;
}

function isAssociation(code: number): boolean {
  return code === OPTION_IA_NA || code === OPTION_IA_TA || code === OPTION_IA_PD;
}
