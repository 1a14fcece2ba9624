/**
 * The server name in the first bytes of a TLS client: its ClientHello (RFC 8446 4.1.2, the same for TLS 1.0 to 1.2), in one
 * or more records (RFC 8446 5.1), as it arrives. No byte is kept but those of the name.
 *
 * Only the structure down to server_name (RFC 6066 3) is read. Other extensions are passed over, whatever they are: GREASE
 * (RFC 8701), pre_shared_key, and encrypted_client_hello, which many clients send without using it. The name is the one
 * that everybody can read; where the client does encrypt another one, it is the provider's.
 */
import { HostName } from "./host-name.ts";

/** Bytes of the longest hello, with the headers of its records. */
export const LONGEST_HELLO = 16_384;

/** What `TlsHello.feed` returns: more bytes are needed. Everything else is final. */
export const HELLO_MORE = 0;
/** A whole hello that asks for one host. */
export const HELLO_NAMED = 1;
/** A whole hello without server_name. */
export const HELLO_NAMELESS = 2;
/** No ClientHello, one that is longer than LONGEST_HELLO, or one that servers could read in different ways. */
export const HELLO_MALFORMED = 3;

/** The first byte of a TLS client. */
export const RECORD_HANDSHAKE = 22;
/** A record's header: type, version of two bytes, length of two. */
const RECORD_HEADER = 5;
const LONGEST_RECORD = 16_384;
/** The first byte of all versions from SSL 3.0 to TLS 1.3. */
const MAJOR_VERSION = 3;
const CLIENT_HELLO = 1;
const LONGEST_SESSION_ID = 32;
const SERVER_NAME = 0;
const HOST_NAME = 0;
/** The content of server_name: the length of its list, then one entry: type, length of two bytes, name. */
const NAME_LIST_HEADER = 2;
const NAME_HEADER = 3;

/** Parts of the message in their order. How many bytes each has is known when it begins. */
const PART_HEADER = 0;
const PART_VERSION = 1;
const PART_RANDOM = 2;
const PART_SESSION_ID_LENGTH = 3;
const PART_SESSION_ID = 4;
const PART_SUITES_LENGTH = 5;
const PART_SUITES = 6;
const PART_COMPRESSIONS_LENGTH = 7;
const PART_COMPRESSIONS = 8;
const PART_EXTENSIONS_LENGTH = 9;
const PART_EXTENSION_HEADER = 10;
const PART_EXTENSION = 11;
const PART_NAME_LIST = 12;
const PART_NAME_HEADER = 13;
const PART_NAME = 14;

/** A bit for each part whose content does not matter. */
const PASSED_OVER =
  (1 << PART_RANDOM) | (1 << PART_SESSION_ID) | (1 << PART_SUITES) | (1 << PART_COMPRESSIONS) | (1 << PART_EXTENSION);

/** Bytes of a message's header (type, length of three), of a random, and of an extension's header (type, length). */
const MESSAGE_HEADER = 4;
const RANDOM = 32;
const EXTENSION_HEADER = 4;
/** Bytes of the lengths of suites, of compressions and of all extensions. */
const SUITES_LENGTH = 2;
const COMPRESSIONS_LENGTH = 1;
const EXTENSIONS_LENGTH = 2;
/** Of a message up to the length of its session id. */
const SHORTEST = 2 + RANDOM + 1;

/** Reads the first bytes of one client. Its size is fixed; `start` makes it ready for another client. */
export class TlsHello {
  /** The name that is asked for, if `state` is HELLO_NAMED. */
  readonly host = new HostName();
  /** What `feed` returned last. */
  state = HELLO_MORE;

  #seen = 0;
  #recordHeaderSeen = 0;
  #recordLength = 0;
  /** Bytes of the record, of the message and of the message's part that have not come yet. */
  #recordLeft = 0;
  #messageLeft = MESSAGE_HEADER;
  #partLeft = MESSAGE_HEADER;
  #part = PART_HEADER;
  /** The last four bytes of the part, as a number. */
  #value = 0;
  #extensionLength = 0;
  #isNamed = false;

  /** Bytes that were taken: of a whole hello its length, the headers of its records included. */
  get length(): number {
    return this.#seen;
  }

  start(): void {
    this.state = HELLO_MORE;
    this.#seen = 0;
    this.#recordHeaderSeen = 0;
    this.#recordLeft = 0;
    this.#messageLeft = MESSAGE_HEADER;
    this.#partLeft = MESSAGE_HEADER;
    this.#part = PART_HEADER;
    this.#value = 0;
    this.#isNamed = false;
  }

  /**
   * Takes the client's next `length` bytes, which are at `at`. Returns `state`. What follows a whole hello is not looked at,
   * but nothing may follow in the same record.
   */
  feed(bytes: Uint8Array, at: number, length: number): number {
    for (const end = at + length; at < end && this.state === HELLO_MORE; at++) {
      at += this.#passOver(end - at - 1);
      if (++this.#seen > LONGEST_HELLO) this.state = HELLO_MALFORMED;
      else if (this.#recordLeft === 0) this.#readRecordHeader(bytes[at]!);
      else this.#readMessage(bytes[at]!);
    }
    return this.state;
  }

  /** Passes over bytes that do not matter, `most` at most, and not over the last one of a part. Returns how many. */
  #passOver(most: number): number {
    if (((PASSED_OVER >>> this.#part) & 1) === 0) return 0;
    const count = Math.max(0, Math.min(most, this.#recordLeft, this.#partLeft - 1, LONGEST_HELLO - this.#seen));
    this.#seen += count;
    this.#recordLeft -= count;
    this.#messageLeft -= count;
    this.#partLeft -= count;
    return count;
  }

  #readRecordHeader(byte: number): void {
    const at = this.#recordHeaderSeen++;
    this.#recordLength = ((this.#recordLength << 8) | byte) & 0xffff;
    if ((at === 0 && byte !== RECORD_HANDSHAKE) || (at === 1 && byte !== MAJOR_VERSION)) this.state = HELLO_MALFORMED;
    if (this.#recordHeaderSeen < RECORD_HEADER) return;
    this.#recordHeaderSeen = 0;
    this.#recordLeft = this.#recordLength;
    // An empty one is not allowed (RFC 8446 5.1).
    if (this.#recordLeft === 0 || this.#recordLeft > LONGEST_RECORD) this.state = HELLO_MALFORMED;
  }

  #readMessage(byte: number): void {
    this.#recordLeft--;
    this.#messageLeft--;
    this.#partLeft--;
    this.#value = (this.#value << 8) | byte;
    if (this.#part === PART_NAME && !this.host.push(byte)) this.state = HELLO_MALFORMED;
    while (this.#partLeft === 0 && this.state === HELLO_MORE) this.#endPart(this.#value);
  }

  /** Begins the next part; one that is longer than the rest of the message is malformed. */
  #begin(part: number, length: number): void {
    this.#part = part;
    this.#partLeft = length;
    this.#value = 0;
    if (length > this.#messageLeft) this.state = HELLO_MALFORMED;
  }

  /** The same if `holds`, without which the hello is malformed. */
  #beginIf(holds: boolean, part: number, length: number): void {
    if (holds) this.#begin(part, length);
    else this.state = HELLO_MALFORMED;
  }

  /** The message's length is one that a hello may have. */
  get #isPossible(): boolean {
    return this.#messageLeft >= SHORTEST && this.#messageLeft <= LONGEST_HELLO;
  }

  /** Bytes of the message behind a part of `length` that begins: too few for what must follow are a fault at once. */
  #left(length: number): number {
    return this.#messageLeft - length;
  }

  /** Whether the message may end with the part, or has room for what follows it. */
  #endsOrHas(length: number, following: number): boolean {
    const left = this.#left(length);
    return left === 0 || left >= following;
  }

  #endPart(value: number): void {
    switch (this.#part) {
      case PART_HEADER:
        this.#messageLeft = value & 0xffffff;
        this.#beginIf(value >>> 24 === CLIENT_HELLO && this.#isPossible, PART_VERSION, 2);
        break;
      case PART_VERSION:
        this.#beginIf(value >>> 8 === MAJOR_VERSION, PART_RANDOM, RANDOM);
        break;
      case PART_RANDOM:
        this.#begin(PART_SESSION_ID_LENGTH, 1);
        break;
      case PART_SESSION_ID_LENGTH:
        this.#beginIf(value <= LONGEST_SESSION_ID && this.#left(value) >= SUITES_LENGTH, PART_SESSION_ID, value);
        break;
      case PART_SESSION_ID:
        this.#begin(PART_SUITES_LENGTH, 2);
        break;
      case PART_SUITES_LENGTH:
        this.#beginIf(value >= 2 && value % 2 === 0 && this.#left(value) >= COMPRESSIONS_LENGTH, PART_SUITES, value);
        break;
      case PART_SUITES:
        this.#begin(PART_COMPRESSIONS_LENGTH, 1);
        break;
      case PART_COMPRESSIONS_LENGTH:
        this.#beginIf(value >= 1 && this.#endsOrHas(value, EXTENSIONS_LENGTH), PART_COMPRESSIONS, value);
        break;
      case PART_COMPRESSIONS:
        // TLS 1.2 allows a hello that ends here (RFC 5246 7.4.1.2).
        if (this.#messageLeft === 0) this.#endHello();
        else this.#begin(PART_EXTENSIONS_LENGTH, 2);
        break;
      case PART_EXTENSIONS_LENGTH:
        if (value !== this.#messageLeft) this.state = HELLO_MALFORMED;
        else this.#beginExtension();
        break;
      default:
        this.#endExtensionPart(value);
    }
  }

  #endExtensionPart(value: number): void {
    switch (this.#part) {
      case PART_EXTENSION_HEADER:
        this.#extensionLength = value & 0xffff;
        if (value >>> 16 === SERVER_NAME) this.#beginServerName();
        else {
          const hasRoom = this.#endsOrHas(this.#extensionLength, EXTENSION_HEADER);
          this.#beginIf(hasRoom, PART_EXTENSION, this.#extensionLength);
        }
        break;
      // Both lengths must say that there is one entry.
      case PART_NAME_LIST:
        this.#beginIf(value === this.#extensionLength - NAME_LIST_HEADER, PART_NAME_HEADER, NAME_HEADER);
        break;
      case PART_NAME_HEADER: {
        const length = value & 0xffff;
        const isWhole = length > 0 && length === this.#extensionLength - NAME_LIST_HEADER - NAME_HEADER;
        this.host.start();
        this.#beginIf(value >>> 16 === HOST_NAME && isWhole, PART_NAME, length);
        break;
      }
      case PART_NAME:
        // No dot at the end, and no address (RFC 6066 3).
        if (!this.host.end(false) || this.host.isNumeric) this.state = HELLO_MALFORMED;
        else this.#beginExtension();
        break;
      default:
        this.#beginExtension();
    }
  }

  #beginExtension(): void {
    if (this.#messageLeft === 0) this.#endHello();
    else this.#begin(PART_EXTENSION_HEADER, EXTENSION_HEADER);
  }

  /** An extension may be there once (RFC 8446 4.2). */
  #beginServerName(): void {
    const fits = this.#extensionLength <= this.#messageLeft;
    this.#beginIf(fits && !this.#isNamed, PART_NAME_LIST, NAME_LIST_HEADER);
    this.#isNamed = true;
  }

  /** Another message behind it in the same record would be one that comes too early (RFC 8446 5.1). */
  #endHello(): void {
    if (this.#recordLeft !== 0) this.state = HELLO_MALFORMED;
    else this.state = this.#isNamed ? HELLO_NAMED : HELLO_NAMELESS;
  }
}
