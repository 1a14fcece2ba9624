/**
 * A target: the addresses that a rule is about. Each kind of target (a CIDR, an alias such as `@private`) is one file of
 * this folder and one entry of the list in kinds.ts. Everything else asks a target through this interface and does not
 * know of which kind it is.
 *
 * A target either ranks as a length of 1 or more and covers `prefixes`, or ranks as 0 and covers whole `classes` of
 * addresses (default-layer.ts). What it covers in IPv6 is said apart: a CIDR covers addresses of its own family only.
 */
import type { Cidr } from "../cidr.ts";
import type { Cidr6 } from "../cidr-6.ts";
import type { KnownNetwork } from "../default-layer.ts";
import type { KnownNetwork6 } from "../default-layer-6.ts";

export interface NamePattern {
  /** Wire form (RFC 1035 3.1), lower case, with the zero byte at its end. */
  readonly labels: Uint8Array;
  /** Names below `labels` at every depth, and not `labels` itself. */
  readonly wildcard: boolean;
}

export interface Target {
  /** The normal form: what the kind's `parse` reads back as the same target. */
  readonly text: string;
  /**
   * The length of the prefix that it ranks as, whatever it covers: 0 … 32, of an IPv6 CIDR 0 … 128. What ranks as 32 and is
   * no CIDR ranks as 128 in IPv6.
   */
  readonly rank: number;
  /** The prefix, where the target is written as an IPv4 one; undefined for what stands for addresses by another word. */
  readonly cidr: Cidr | undefined;
  /** The prefix, where the target is written as an IPv6 one. */
  readonly cidr6: Cidr6 | undefined;
  /** The domain name, where it is written as one: then it covers no address, and no table of addresses has its rules. */
  readonly name: NamePattern | undefined;
  /** The classes of IPv4 addresses that it covers; empty unless `rank` is 0. */
  readonly classes: readonly number[];
  /** The classes of IPv6 addresses. */
  readonly classes6: readonly number[];
  /** Which addresses it covers depends on the network and comes with the binding. */
  readonly followsNetwork: boolean;
  /** The class that a block of it without a port closes against allow rules with a port, too; CLASS_OTHER = none. */
  readonly blockedClass: number;
  /** Whether an allow rule with a port about it counts also where this class is blocked. */
  countsInBlocked(addressClass: number): boolean;
  /** What it covers in this network, prefixes of length 1 … 32 in any order; empty where `rank` is 0. */
  prefixes(knownNetwork: KnownNetwork): readonly Cidr[];
  /** The same in IPv6, prefixes of length 1 … 128. */
  prefixes6(knownNetwork: KnownNetwork6): readonly Cidr6[];
}

export interface TargetKind {
  /** What an error message advises to write. */
  readonly form: string;
  /** Returns undefined for what is none of this kind. */
  parse(text: string): Target | undefined;
  /** The remedy for a text that is nearly one of this kind. */
  remedy?(text: string): string | undefined;
}
