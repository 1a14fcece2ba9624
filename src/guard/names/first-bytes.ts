/** Reads whom the first bytes of a client ask for: those of TLS, or of HTTP/1. By the first byte it is known which. */
import { HEAD_MALFORMED, HEAD_MORE, HEAD_NAMED, HttpHead } from "../../wire/http-head.ts";
import { HELLO_MORE, HELLO_NAMED, HELLO_NAMELESS, RECORD_HANDSHAKE, TlsHello } from "../../wire/tls-hello.ts";

/** What `feed` returns: more bytes are needed; a name; none, or not in a way that is read; two ways to read it; nothing to read. */
export const MORE = 0;
export const NAMED = 1;
export const NAMELESS = 2;
export const MALFORMED = 3;
export const UNREADABLE = 4;

const NOTHING_YET = 0;
const TLS = 1;
const HTTP = 2;

export class FirstBytes {
  /** Made when they are needed first. */
  #hello: TlsHello | undefined;
  #head: HttpHead | undefined;
  #kind = NOTHING_YET;
  /** In wire form, with the zero byte at its end: the first `nameLength` bytes. */
  name: Uint8Array = new Uint8Array(0);
  nameLength = 0;

  reset(): void {
    this.#kind = NOTHING_YET;
    this.nameLength = 0;
  }

  /** Bytes of the whole hello that was read; 0 = what names a host is no hello. */
  get helloLength(): number {
    return this.#kind === TLS ? (this.#hello?.length ?? 0) : 0;
  }

  /** Takes the next bytes, one at least. `http`: what is not TLS must be HTTP/1; else it is UNREADABLE. */
  feed(bytes: Uint8Array, at: number, length: number, http: boolean): number {
    if (this.#kind === NOTHING_YET) {
      const isTls = bytes[at] === RECORD_HANDSHAKE;
      if (!isTls && !http) return UNREADABLE;
      this.#kind = isTls ? TLS : HTTP;
      if (isTls) this.#hello?.start();
      else this.#head?.start();
    }
    return this.#kind === TLS ? this.#feedHello(bytes, at, length) : this.#feedHead(bytes, at, length);
  }

  #feedHello(bytes: Uint8Array, at: number, length: number): number {
    this.#hello ??= new TlsHello();
    const state = this.#hello.feed(bytes, at, length);
    if (state === HELLO_MORE) return MORE;
    if (state !== HELLO_NAMED) return state === HELLO_NAMELESS ? NAMELESS : MALFORMED;
    return this.#named(this.#hello.host.labels, this.#hello.host.length);
  }

  #feedHead(bytes: Uint8Array, at: number, length: number): number {
    this.#head ??= new HttpHead();
    const state = this.#head.feed(bytes, at, length);
    if (state === HEAD_MORE) return MORE;
    if (state !== HEAD_NAMED) return state === HEAD_MALFORMED ? MALFORMED : NAMELESS;
    return this.#named(this.#head.host.name.labels, this.#head.host.name.length);
  }

  #named(labels: Uint8Array, length: number): number {
    this.name = labels;
    this.nameLength = length;
    return NAMED;
  }
}
