/** What the second guard knows of an address of the VM's, of the router and what it advertised, and of a DHCPv6 transaction. */
import type { Prefix } from "./bytes.ts";
import type { Message } from "./dhcp-message.ts";

export interface Lease {
  readonly server: string;
  readonly client: string;
  readonly iaid: number;
}

/** An address of the VM's. */
export interface Owned {
  readonly address: bigint;
  valid: boolean;
  origin: "slaac" | "dhcpv6" | "static";
  /** When its 500 ms began; Infinity while softnet's question for it waits. */
  since: number;
  /** When it was last used. */
  used: number;
  /** The VM's last duplicate address detection for it. */
  detected: number | undefined;
  /** Tentative because softnet asked; the VM itself did not. */
  askedOnly: boolean;
  /** Probes to the VM since it was last used. */
  probes: number;
  /** Of a DHCPv6 lease; Infinity for others. */
  expiry: number;
  lease: Lease | undefined;
}

export interface Router {
  readonly address: bigint;
  mac: string | undefined;
  found: "given" | "gateway" | "first";
  /** When it is over; undefined where none of its advertisements passed. */
  end: number | undefined;
}

export interface Advertised extends Prefix {
  readonly onLink: boolean;
  readonly autonomous: boolean;
  readonly end: number;
}

export interface Exchange {
  readonly xid: number;
  /** Of the VM's last message. */
  time: number;
  type: number;
  client: string | undefined;
  source: bigint;
  rapidCommit: boolean;
  /** The server that the last message names. */
  named: string | undefined;
  /** IAs of the last message. */
  ias: Message["ias"];
  /** Servers whose ADVERTISE passed. */
  readonly advertised: Set<string>;
  /** The server whose REPLY passed. */
  repliedBy: string | undefined;
  /** A REPLY passed since the VM's last message. */
  acknowledged: boolean;
}

export function newOwned(address: bigint, now: number, more: Partial<Owned>): Owned {
  return {
    address,
    valid: false,
    origin: "slaac",
    since: now,
    used: now,
    detected: undefined,
    askedOnly: false,
    probes: 0,
    expiry: Number.POSITIVE_INFINITY,
    lease: undefined,
    ...more,
  };
}

/** An address of a binding as text. */
export function describe(one: { address: bigint; origin: string; expiry: number; lease?: Lease | undefined }): string {
  const lease = one.lease === undefined ? "" : ` ${one.lease.server}/${one.lease.client}/${one.lease.iaid}`;
  return `[${one.address.toString(16)} ${one.origin} ${one.origin === "dhcpv6" ? one.expiry : ""}${lease}]`;
}
