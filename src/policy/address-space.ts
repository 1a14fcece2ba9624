/**
 * What is the same in the address spaces of both families: IPv4's addresses are numbers in host order, IPv6's are bigints
 * (wire/ipv6-address.ts). Whatever is made of rules for people or once for many frames is written for either.
 */
export type Address = number | bigint;

/** A prefix. Host bits are zero. */
export interface Prefix<A extends Address> {
  readonly address: A;
  /** 0 … 32 or 0 … 128. */
  readonly length: number;
}

export interface AddressSpace<A extends Address> {
  /** The first address. */
  readonly zero: A;
  /** The first number behind the last address. */
  readonly end: A;
  /** The first number behind the last address of a prefix. */
  readonly behind: (prefix: Prefix<A>) => A;
}

/** Address ranges, ascending: first and last address of each. */
export type RangesOf<A extends Address> = readonly (readonly [first: A, last: A])[];

export const IPV4_SPACE: AddressSpace<number> = Object.freeze({
  zero: 0,
  end: 2 ** 32,
  behind: ({ address, length }: Prefix<number>) => address + 2 ** (32 - length),
});

export const IPV6_SPACE: AddressSpace<bigint> = Object.freeze({
  zero: 0n,
  end: 1n << 128n,
  behind: ({ address, length }: Prefix<bigint>) => address + (1n << BigInt(128 - length)),
});

/** The number behind an address. */
export function after<A extends Address>(address: A): A {
  return (typeof address === "bigint" ? address + 1n : Number(address) + 1) as A;
}

/** The number before an address. */
export function before<A extends Address>(address: A): A {
  return (typeof address === "bigint" ? address - 1n : Number(address) - 1) as A;
}

/** The order of addresses, for sorting. */
export function compare<A extends Address>(one: A, other: A): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** The lower of two addresses. */
export function least<A extends Address>(one: A, other: A): A {
  return one < other ? one : other;
}
