/** A VM as the host's table knows it (table.ts), and what sets and elements of a table are. */
import type { Reachable } from "../policy/reachable.ts";
import type { Reachable6 } from "../policy/reachable6.ts";

/** One VM, as the table knows it. Addresses in host order. */
export interface Vm {
  readonly tap: string;
  readonly address: number;
  readonly gateway: number;
  /** False: a network of type host. */
  readonly nat: boolean;
  /** External port, the VM's port. */
  readonly exposures: readonly (readonly [external: number, internal: number])[];
  readonly connections: number;
  /** The first address of its /64; absent: it has no IPv6. */
  readonly prefix?: bigint;
}

/** What of a VM may change while it runs. */
export interface Changing {
  readonly reach: Reachable;
  /** Undefined without IPv6. */
  readonly reach6?: Reachable6 | undefined;
  /** The address that exposed ports lead to; undefined while the VM has none. */
  readonly address6?: bigint | undefined;
}

/** By the set's name, as nft(8) writes them. */
export type Elements = Readonly<Record<string, readonly string[]>>;

/** A set, or a map. */
export interface Named {
  readonly name: string;
  readonly type: string;
  readonly flags?: string;
}
