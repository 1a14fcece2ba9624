/** A record's JSON, read strictly: a field that is missing, of another type or out of range makes the record invalid. */
import { parseIPv4, parseMac } from "../wire/address.ts";
import { parseIPv6 } from "../wire/ipv6-address.ts";

/** Characters of one text in a record. */
const LONGEST_TEXT = 2048;

/** A time in JSON: null for never. Throws RangeError for what is no time. */
export function endOf(time: number): number | null {
  if (time === Number.POSITIVE_INFINITY) return null;
  if (!Number.isSafeInteger(time)) throw new RangeError(`${time} is not a time`);
  return time;
}

export function addressOf(value: unknown): number {
  const address = typeof value === "string" ? parseIPv4(value) : undefined;
  if (address === undefined) throw new Error("not an address");
  return address;
}

/** The fields of a JSON object. Each method throws when the field is not of its type. */
export class Fields {
  readonly #object: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("not an object");
    this.#object = value as Readonly<Record<string, unknown>>;
  }

  /** Neither missing nor null. */
  has(name: string): boolean {
    return Object.hasOwn(this.#object, name) && this.#object[name] !== null;
  }
  text(name: string): string {
    const value = this.#get(name);
    if (typeof value !== "string" || value.length > LONGEST_TEXT) throw new Error(`${name} is not text`);
    return value;
  }
  /** A whole number that is not negative. */
  number(name: string): number {
    const value = this.#get(name);
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw new Error(`${name} is not a number`);
    return value as number;
  }
  /** As `number`; null is Infinity. */
  end(name: string): number {
    return this.has(name) ? this.number(name) : this.#get(name) === null ? Number.POSITIVE_INFINITY : Number.NaN;
  }
  address(name: string): number {
    const address = addressOf(this.#get(name));
    if (address === 0) throw new Error(`${name} is no address`);
    return address;
  }
  addressOfIPv6(name: string): bigint {
    const address = parseIPv6(this.text(name));
    if (address === undefined || address === 0n) throw new Error(`${name} is no IPv6 address`);
    return address;
  }
  /** null is 0. */
  optionalAddress(name: string): number {
    return this.#get(name) === null ? 0 : this.address(name);
  }
  mac(name: string): number {
    const mac = parseMac(this.text(name));
    if (mac === undefined) throw new Error(`${name} is not a MAC address`);
    return mac;
  }
  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const value = values.find((one) => one === this.#get(name));
    if (value === undefined) throw new Error(`${name} is none of ${values.join()}`);
    return value;
  }
  list(name: string): readonly unknown[] {
    const value = this.#get(name);
    if (!Array.isArray(value)) throw new Error(`${name} is not a list`);
    return value;
  }
  bytes(name: string): Uint8Array {
    const text = this.text(name);
    if (!/^(?:[0-9a-f]{2}){1,255}$/.test(text)) throw new Error(`${name} is not hexadecimal`);
    return Uint8Array.from(Buffer.from(text, "hex"));
  }
  /** Whether it is there; then it is true. */
  flag(name: string): boolean {
    if (Object.hasOwn(this.#object, name) && this.#object[name] !== true) throw new Error(`${name} is not true`);
    return Object.hasOwn(this.#object, name);
  }
  object(name: string): Fields {
    return new Fields(this.#get(name));
  }

  #get(name: string): unknown {
    if (!Object.hasOwn(this.#object, name)) throw new Error(`${name} is missing`);
    return this.#object[name];
  }
}
