/**
 * Written by hand because JSON.parse hides duplicate keys, rounds integers above 2^53 and has no limits. This reader
 * (RFC 8259) for untrusted bytes
 *
 * - keeps a number's text;
 * - reports a key that occurs twice;
 * - refuses nesting deeper than DEEPEST (section 9 allows such limits) and strings that are not valid Unicode;
 * - keeps at most MOST_KEPT elements of an array and MOST_KEPT_KEYS members of an object, but reads and counts all;
 * - refuses a text with more than MOST_VALUES values to keep, so that a mebibyte of brackets does not fill the memory.
 */

/** Nested arrays and objects; a request has three. */
const DEEPEST = 16;
/** One more than a policy may have rules, so that a list that is too long can be refused. */
const MOST_KEPT = 4_097;
const MOST_KEPT_KEYS = 64;
/** Elements and members of a whole text; a request has at most some more than 4,096. */
const MOST_VALUES = 16_384;

/** A number as its text. */
export class JsonNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export class JsonArray {
  /** The first elements. */
  readonly elements: Json[] = [];
  /** How many there are. */
  length = 0;
}

export class JsonObject {
  /** The first members; of two with the same key, the first. */
  readonly members = new Map<string, Json>();
  /** A key that occurred twice. */
  duplicate: string | undefined;
  /** A key beyond MOST_KEPT_KEYS. */
  surplus: string | undefined;
}

export type Json = null | boolean | string | JsonNumber | JsonArray | JsonObject;

/** The text is not JSON, or exceeds the reader's limits. */
export class JsonError extends Error {}

/** Reads a text that is one JSON value. Throws JsonError. */
export function readJson(text: string): Json {
  return new Reader(text).whole();
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** What lies below the space: JSON requires that these characters are escaped (RFC 8259 section 7). */
const CONTROL = /[^ -\u{10ffff}]/u;
const WORDS: readonly (readonly [string, null | boolean])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
];

class Reader {
  readonly #text: string;
  #at = 0;
  #kept = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): Json {
    this.#skip();
    const value = this.#value(1);
    this.#skip();
    if (this.#at < this.#text.length) throw this.#error("something follows the value");
    return value;
  }

  #value(depth: number): Json {
    const first = this.#text[this.#at];
    if (depth > DEEPEST && (first === "[" || first === "{")) throw this.#error(`nested deeper than ${DEEPEST}`);
    if (first === '"') return this.#string();
    if (first === "{") return this.#object(depth);
    if (first === "[") return this.#array(depth);
    for (const [word, value] of WORDS) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    NUMBER.lastIndex = this.#at;
    const text = NUMBER.exec(this.#text)?.[0];
    if (text === undefined) throw this.#error(first === undefined ? "it breaks off" : "no value");
    this.#at += text.length;
    return new JsonNumber(text);
  }

  #array(depth: number): JsonArray {
    const array = new JsonArray();
    this.#at++;
    this.#skip();
    if (this.#take("]")) return array;
    for (;;) {
      const element = this.#value(depth + 1);
      if (array.length < MOST_KEPT) {
        this.#keep();
        array.elements.push(element);
      }
      array.length++;
      this.#skip();
      if (this.#take("]")) return array;
      this.#need(",");
    }
  }

  #object(depth: number): JsonObject {
    const object = new JsonObject();
    this.#at++;
    this.#skip();
    if (this.#take("}")) return object;
    for (;;) {
      if (this.#text[this.#at] !== '"') throw this.#error("no key");
      const key = this.#string();
      this.#skip();
      this.#need(":");
      const value = this.#value(depth + 1);
      if (object.members.has(key)) object.duplicate ??= key;
      else if (object.members.size < MOST_KEPT_KEYS) {
        this.#keep();
        object.members.set(key, value);
      } else object.surplus ??= key;
      this.#skip();
      if (this.#take("}")) return object;
      this.#need(",");
    }
  }

  /** Counts a kept value, also one in an array or object that is not kept itself. */
  #keep(): void {
    if (++this.#kept > MOST_VALUES) throw this.#error(`more than ${MOST_VALUES} values`);
  }

  #string(): string {
    const begin = this.#at;
    const end = this.#endOfString(begin);
    this.#at = end + 1;
    const raw = this.#text.slice(begin + 1, end);
    if (!raw.includes("\\")) {
      if (CONTROL.test(raw)) throw this.#error("a control character in a string");
      return raw;
    }
    let value: string;
    try {
      value = JSON.parse(this.#text.slice(begin, end + 1));
    } catch {
      throw this.#error("a string that is none");
    }
    if (!value.isWellFormed()) throw this.#error("half of a surrogate pair in a string");
    return value;
  }

  /** Where the closing quote is: one with an even number of backslashes before it. */
  #endOfString(begin: number): number {
    for (let from = begin + 1; ; ) {
      const quote = this.#text.indexOf('"', from);
      if (quote < 0) throw this.#error("a string breaks off");
      let backslashes = 0;
      while (this.#text[quote - 1 - backslashes] === "\\") backslashes++;
      if (backslashes % 2 === 0) return quote;
      from = quote + 1;
    }
  }

  #skip(): void {
    SPACE.lastIndex = this.#at;
    SPACE.test(this.#text);
    this.#at = SPACE.lastIndex;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** A character and the space behind it. */
  #need(character: string): void {
    if (!this.#take(character)) throw this.#error(`no ${JSON.stringify(character)}`);
    this.#skip();
  }

  #error(what: string): JsonError {
    return new JsonError(`${what}, at character ${this.#at + 1}`);
  }
}
