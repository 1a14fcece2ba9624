/** The value of HTTP's Host field, byte by byte (RFC 9110 7.2): a host and perhaps a port, with space around them. */
import { HostName } from "./host-name.ts";

const TAB = 0x09;
const SPACE = 0x20;
const COLON = 0x3a;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;

/** Where in the value the next byte is. */
const BEFORE_HOST = 0;
const IN_NAME = 1;
const IN_ADDRESS = 2;
const BEHIND_ADDRESS = 3;
const IN_PORT = 4;
const BEHIND_HOST = 5;

const LARGEST_PORT = 65_535;

export class HttpHost {
  /** The host's name, if `isNamed`; a dot at its end is left out. */
  readonly name = new HostName();
  /** Whether there is a host, and it is no address. */
  isNamed = false;
  /** The port behind the host; 0 if there is none. */
  port = 0;

  #at = BEFORE_HOST;

  start(): void {
    this.isNamed = false;
    this.port = 0;
    this.#at = BEFORE_HOST;
    this.name.start();
  }

  /** Takes the value's next byte. Returns false if no host can be written so. */
  push(byte: number): boolean {
    const isSpace = byte === SPACE || byte === TAB;
    switch (this.#at) {
      case BEFORE_HOST:
        if (isSpace) return true;
        this.#at = byte === OPENING_BRACKET ? IN_ADDRESS : IN_NAME;
        return byte === OPENING_BRACKET || this.name.push(byte);
      case IN_NAME:
        if (byte !== COLON && !isSpace) return this.name.push(byte);
        this.#at = byte === COLON ? IN_PORT : BEHIND_HOST;
        return this.#endName();
      case IN_ADDRESS:
        // What address it is does not matter: an address is no name.
        if (byte === CLOSING_BRACKET) this.#at = BEHIND_ADDRESS;
        return !isSpace;
      case BEHIND_ADDRESS:
        this.#at = byte === COLON ? IN_PORT : BEHIND_HOST;
        return byte === COLON || isSpace;
      case IN_PORT:
        if (isSpace) this.#at = BEHIND_HOST;
        else return this.#pushPort(byte);
        return true;
      default:
        return isSpace;
    }
  }

  /** Ends the value, which may be empty. Returns whether it is right. */
  end(): boolean {
    if (this.#at === IN_NAME) return this.#endName();
    return this.#at !== IN_ADDRESS;
  }

  #endName(): boolean {
    const isRight = this.name.end(true);
    this.isNamed = isRight && !this.name.isNumeric;
    return isRight;
  }

  #pushPort(byte: number): boolean {
    const digit = byte - 0x30;
    this.port = 10 * this.port + digit;
    return digit >= 0 && digit <= 9 && this.port <= LARGEST_PORT;
  }
}
