/**
 * The host in the head of a client's first HTTP/1 request (RFC 9112 2 to 5), as it arrives. No byte is kept but those of
 * the host's name. Everything that servers are known to read in different ways is malformed: a line that does not end in
 * CRLF, a field that goes on in the next line, space before a colon, Host more than once.
 */
import { HttpHost } from "./http-host.ts";

/** Bytes of the longest head. */
export const LONGEST_HEAD = 16_384;

/** What `HttpHead.feed` returns: more bytes are needed. Everything else is final. */
export const HEAD_MORE = 0;
/** A whole head that names one host. */
export const HEAD_NAMED = 1;
/** A whole head without Host, or whose Host is empty or an address. */
export const HEAD_NAMELESS = 2;
/** No HTTP, a head that is longer than LONGEST_HEAD, or one that servers could read in different ways. */
export const HEAD_MALFORMED = 3;
/** HTTP of another version, such as the first bytes of HTTP/2 (RFC 9113 3.4). */
export const HEAD_OTHER_VERSION = 4;
/** A request to a proxy, which has a host in its target (absolute-form, RFC 9112 3.2.2). */
export const HEAD_ABSOLUTE = 5;
/** The method CONNECT (RFC 9112 3.2.3). */
export const HEAD_CONNECT = 6;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const ASTERISK = 0x2a;
const SLASH = 0x2f;
const COLON = 0x3a;
const DELETE = 0x7f;

/** Where in the head the next byte is. */
const IN_METHOD = 0;
const AT_TARGET = 1;
const IN_TARGET = 2;
const IN_VERSION = 3;
const AT_LINE = 4;
const IN_FIELD_NAME = 5;
const IN_VALUE = 6;
const IN_HOST = 7;
/** Behind the CR of a line, and of the empty line. */
const IN_LINE_END = 8;
const IN_HEAD_END = 9;

const CONNECT = bytesOf("CONNECT");
/** A field's name, which may be written in any case. */
const HOST = bytesOf("host");
/** The only major version, and the digit behind it. */
const HTTP_1 = bytesOf("HTTP/1.");
const MAJOR_VERSION = HTTP_1.length - 2;

/** 1 for what methods and fields' names are made of (RFC 9110 5.6.2). */
const TOKEN = new Uint8Array(256);
for (const byte of bytesOf("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
  TOKEN[byte] = 1;
}

/** Reads the first bytes of one client. Its size is fixed; `start` makes it ready for another client. */
export class HttpHead {
  /** What Host says, if `state` is HEAD_NAMED. */
  readonly host = new HttpHost();
  /** What `feed` returned last. */
  state = HEAD_MORE;

  #seen = 0;
  #at = IN_METHOD;
  /** Bytes of the method, the version or the field's name that have come, and whether all are those of the known word. */
  #wordLength = 0;
  #isWord = true;
  #hasHost = false;

  start(): void {
    this.state = HEAD_MORE;
    this.#seen = 0;
    this.#hasHost = false;
    this.#beginWord(IN_METHOD);
  }

  /** Takes the client's next `length` bytes, which are at `at`. Returns `state`. What follows the head is not looked at. */
  feed(bytes: Uint8Array, at: number, length: number): number {
    for (const end = at + length; at < end && this.state === HEAD_MORE; at++) {
      if (++this.#seen > LONGEST_HEAD) this.state = HEAD_MALFORMED;
      else if (this.#at < AT_LINE) this.#readRequestLine(bytes[at]!);
      else this.#readFields(bytes[at]!);
    }
    return this.state;
  }

  #readRequestLine(byte: number): void {
    switch (this.#at) {
      case IN_METHOD:
        if (byte === SPACE) this.#endMethod();
        else this.#pushWord(CONNECT, byte, byte);
        break;
      case AT_TARGET:
        // The asterisk is a target of OPTIONS (RFC 9112 3.2.4), and stands in the first bytes of HTTP/2.
        if (byte === SLASH || byte === ASTERISK) this.#at = IN_TARGET;
        else this.state = TOKEN[byte] === 1 || byte > DELETE ? HEAD_ABSOLUTE : HEAD_MALFORMED;
        break;
      case IN_TARGET:
        if (byte === SPACE) this.#beginWord(IN_VERSION);
        else if (byte < SPACE || byte === DELETE) this.state = HEAD_MALFORMED;
        break;
      default:
        this.#readVersion(byte);
    }
  }

  #endMethod(): void {
    if (this.#wordLength === 0) this.state = HEAD_MALFORMED;
    else if (this.#isWord && this.#wordLength === CONNECT.length) this.state = HEAD_CONNECT;
    this.#at = AT_TARGET;
  }

  #readVersion(byte: number): void {
    const at = this.#wordLength++;
    if (at < HTTP_1.length) {
      if (byte !== HTTP_1[at]) this.state = at === MAJOR_VERSION && isDigit(byte) ? HEAD_OTHER_VERSION : HEAD_MALFORMED;
    } else if (at === HTTP_1.length) {
      if (!isDigit(byte)) this.state = HEAD_MALFORMED;
    } else if (byte === CR) {
      this.#at = IN_LINE_END;
    } else {
      this.state = HEAD_MALFORMED;
    }
  }

  #readFields(byte: number): void {
    switch (this.#at) {
      case AT_LINE:
        this.#beginWord(IN_FIELD_NAME);
        // Space here would continue the line before (obs-fold, RFC 9112 5.2); it is in no field's name.
        if (byte === CR) this.#at = IN_HEAD_END;
        else this.#pushWord(HOST, byte, byte | 0x20);
        break;
      case IN_FIELD_NAME:
        if (byte === COLON) this.#endFieldName();
        else this.#pushWord(HOST, byte, byte | 0x20);
        break;
      case IN_VALUE:
        if (byte === CR) this.#at = IN_LINE_END;
        else if ((byte < SPACE && byte !== TAB) || byte === DELETE) this.state = HEAD_MALFORMED;
        break;
      case IN_HOST:
        if (byte === CR ? !this.host.end() : !this.host.push(byte)) this.state = HEAD_MALFORMED;
        else if (byte === CR) this.#at = IN_LINE_END;
        break;
      case IN_LINE_END:
        this.#at = AT_LINE;
        if (byte !== LF) this.state = HEAD_MALFORMED;
        break;
      default:
        this.#endHead(byte);
    }
  }

  #endFieldName(): void {
    const isHost = this.#isWord && this.#wordLength === HOST.length;
    this.#at = isHost ? IN_HOST : IN_VALUE;
    if (isHost) this.host.start();
    if (this.#wordLength === 0 || (isHost && this.#hasHost)) this.state = HEAD_MALFORMED;
    this.#hasHost ||= isHost;
  }

  #endHead(byte: number): void {
    if (byte !== LF) this.state = HEAD_MALFORMED;
    else this.state = this.#hasHost && this.host.isNamed ? HEAD_NAMED : HEAD_NAMELESS;
  }

  #beginWord(at: number): void {
    this.#at = at;
    this.#wordLength = 0;
    this.#isWord = true;
  }

  /** Takes a byte of a token; `folded` is what must be in `word` there. */
  #pushWord(word: Uint8Array, byte: number, folded: number): void {
    if (TOKEN[byte] !== 1) this.state = HEAD_MALFORMED;
    if (this.#wordLength >= word.length || folded !== word[this.#wordLength]) this.#isWord = false;
    this.#wordLength++;
  }
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
