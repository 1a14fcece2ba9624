/**
 * Reads a second ClientHello (RFC 8446 4.1.2). After a server's HelloRetryRequest the client sends a second hello. It may have
 * another server name than the first, and servers use the second one. It is not encrypted. A change_cipher_spec, an alert, or
 * early data that the server skips (4.2.10) may come before it.
 */
import { HELLO_MALFORMED, HELLO_MORE, RECORD_HANDSHAKE, TlsHello } from "./tls-hello.ts";

/** What `TlsRetry.feed` returns besides a state of TlsHello: no second hello can come. */
export const HELLO_NONE = 4;

/** A record's header: type, version of two bytes, length of two. */
const RECORD_HEADER = 5;
const FIRST_TYPE = 20;
const LAST_TYPE = 23;
const MAJOR_VERSION = 3;
/** Bytes of the longest record that is encrypted (RFC 5246 6.2.3; RFC 8446 5.2 allows fewer). */
const LONGEST_ENCRYPTED = 18_432;
const CLIENT_HELLO = 1;

/** Reads what a client sends behind its hello. Its size is fixed; `start` makes it ready for another client. */
export class TlsRetry {
  readonly hello = new TlsHello();
  state = HELLO_MORE;
  readonly #header = new Uint8Array(RECORD_HEADER);
  #headerSeen = 0;
  /** Bytes of a record that is passed over. */
  #left = 0;
  #isHello = false;

  start(): void {
    this.state = HELLO_MORE;
    this.#headerSeen = 0;
    this.#left = 0;
    this.#isHello = false;
  }

  /** Takes the client's next `length` bytes, which are at `at`. Returns `state`. */
  feed(bytes: Uint8Array, at: number, length: number): number {
    const end = at + length;
    while (at < end && this.state === HELLO_MORE) {
      if (this.#isHello) {
        this.state = this.hello.feed(bytes, at, end - at);
        break;
      }
      if (this.#left > 0) {
        const passed = Math.min(this.#left, end - at);
        this.#left -= passed;
        at += passed;
        continue;
      }
      if (this.#headerSeen === RECORD_HEADER) this.#beginHandshake(bytes[at]!);
      else this.#readHeader(bytes[at++]!);
    }
    return this.state;
  }

  #readHeader(byte: number): void {
    const header = this.#header;
    header[this.#headerSeen++] = byte;
    if (this.#headerSeen < RECORD_HEADER) return;
    const [type, version, , high, low] = header as unknown as [number, number, number, number, number];
    const size = high * 256 + low;
    if (type < FIRST_TYPE || type > LAST_TYPE || version !== MAJOR_VERSION || size > LONGEST_ENCRYPTED)
      this.state = HELLO_MALFORMED;
    if (type === RECORD_HANDSHAKE && size > 0) return;
    this.#left = size;
    this.#headerSeen = 0;
  }

  /** The first byte of a record of the handshake: another message, or an encrypted one, comes only after the server's own hello. */
  #beginHandshake(type: number): void {
    if (type !== CLIENT_HELLO) {
      this.state = HELLO_NONE;
      return;
    }
    this.#isHello = true;
    this.hello.start();
    this.state = this.hello.feed(this.#header, 0, RECORD_HEADER);
  }
}

/** The random of a HelloRetryRequest: SHA-256 of "HelloRetryRequest" (RFC 8446 4.1.3). */
const RETRY = Uint8Array.from(Buffer.from("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c", "hex"));
const SERVER_HELLO = 2;
/** In the server's stream: where the message begins, and its random behind type, length of three bytes and version of two. */
const MESSAGE = RECORD_HEADER;
const RANDOM = MESSAGE + 6;
/** Bytes that say whether it is one. */
export const RETRY_LENGTH = RANDOM + 32;

/** Whether byte number `at` of a server's stream may be a HelloRetryRequest's. */
export function mayBeRetry(at: number, byte: number): boolean {
  if (at === 0) return byte === RECORD_HANDSHAKE;
  if (at === MESSAGE) return byte === SERVER_HELLO;
  return at < RANDOM || byte === RETRY[at - RANDOM];
}
