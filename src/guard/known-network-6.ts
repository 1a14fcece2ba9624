/** What the guard knows of the VM's IPv6 network, for people (docs/control.md, Status). It decides nothing from this. */

/** Addresses are bigints (wire/ipv6-address.ts); ends are microseconds on the guard's clock, Infinity = never. */
export interface LearnedNetwork6 {
  /** The trusted router; undefined while there is none. */
  readonly router: LearnedRouter6 | undefined;
  /** What the network gave and what the router advertised, each once. */
  readonly prefixes: readonly LearnedPrefix6[];
  readonly nat64: readonly Pick<LearnedPrefix6, "address" | "length" | "end">[];
  readonly dnsServers: readonly LearnedDnsServer6[];
}

export interface LearnedRouter6 {
  readonly address: bigint;
  /** 48 bits, or UNKNOWN_MAC. */
  readonly mac: number;
  /** When its last advertisement is over; Infinity while none counts. */
  readonly end: number;
}

export interface LearnedPrefix6 {
  readonly address: bigint;
  /** Bits. */
  readonly length: number;
  /** Flag L: the VM's neighbours have addresses in it. */
  readonly onLink: boolean;
  /** Flag A: the VM may make addresses of its own in it. */
  readonly autonomous: boolean;
  readonly end: number;
}

export interface LearnedDnsServer6 {
  readonly address: bigint;
  /** Who announced it: an advertisement (RFC 8106), or a REPLY (RFC 3646). */
  readonly from: "router" | "dhcpv6";
  readonly end: number;
}
