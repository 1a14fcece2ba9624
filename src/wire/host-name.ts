/**
 * Host names byte by byte, as they come in a TLS hello, a Host header or a rule. What is kept are normalised wire labels
 * (RFC 1035 3.1): lower case, each label behind its length, one zero byte at the end. Names in this form are equal if
 * their bytes are.
 *
 * A label has letters, digits and hyphens, no hyphen first or last (RFC 1123 2.1); underscores too, since hosts with
 * them exist and clients ask for them.
 */

/** Bytes of the longest name on the wire, its lengths and the final zero included (RFC 1035 2.3.4): 253 characters. */
export const LONGEST_NAME = 255;
export const LONGEST_LABEL = 63;

const DOT = 0x2e;
const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

/** A name that is being read, in memory of a fixed size. */
export class HostName {
  /** The first `length` bytes are the name, once `end` has returned true. */
  readonly labels = new Uint8Array(LONGEST_NAME);
  /** Bytes, the final zero included. */
  length = 0;
  labelCount = 0;
  /** Whether the last label has only digits: such a text is an IPv4 address, or nothing (RFC 3696 2). */
  isNumeric = false;

  /** Where the current label's length goes. `length` is where its next byte goes. */
  #label = 0;
  #onlyDigits = true;

  start(): void {
    this.length = 1;
    this.labelCount = 0;
    this.isNumeric = false;
    this.#label = 0;
    this.#onlyDigits = true;
  }

  /** Takes the next byte of the text. Returns false if no host name has it there; the name is lost then. */
  push(byte: number): boolean {
    if (byte === DOT) return this.#endLabel();
    const value = hostByte(byte);
    const first = this.length === this.#label + 1;
    if (value === 0 || this.length > LONGEST_NAME - 2 || this.length - this.#label > LONGEST_LABEL) return false;
    if (first && value === HYPHEN) return false;
    if (!isDigit(value)) this.#onlyDigits = false;
    this.labels[this.length++] = value;
    return true;
  }

  /** Ends the text. Returns whether it is a host name, of one label or more; a dot may be last if `dotAllowed`. */
  end(dotAllowed: boolean): boolean {
    const behindDot = this.length === this.#label + 1;
    if (behindDot ? !dotAllowed || this.labelCount === 0 : !this.#endLabel()) return false;
    this.labels[this.#label] = 0;
    return true;
  }

  #endLabel(): boolean {
    const size = this.length - this.#label - 1;
    if (size === 0 || this.labels[this.length - 1] === HYPHEN) return false;
    this.labels[this.#label] = size;
    this.#label = this.length++;
    this.labelCount++;
    this.isNumeric = this.#onlyDigits;
    this.#onlyDigits = true;
    return true;
  }
}

/** The byte in lower case; 0 for one that is in no label of a host name. */
function hostByte(byte: number): number {
  if (byte >= 0x61 && byte <= 0x7a) return byte;
  if (byte >= 0x41 && byte <= 0x5a) return byte + 0x20;
  return isDigit(byte) || byte === HYPHEN || byte === UNDERSCORE ? byte : 0;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
