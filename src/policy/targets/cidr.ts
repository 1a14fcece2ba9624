/** A target that is written as an IPv4 prefix: `192.168.0.0/24`. */
import { parseIPv4 } from "../../wire/address.ts";
import { type Cidr, contains, formatCidr, parseCidr } from "../cidr.ts";
import { ALL_CLASSES, CLASS_OTHER } from "../default-layer.ts";
import { METADATA_ADDRESSES, PRIVATE } from "../special-purpose.ts";
import type { Target, TargetKind } from "./target.ts";

export class CidrTarget implements Target {
  readonly cidr: Cidr;

  constructor(cidr: Cidr) {
    this.cidr = cidr;
  }

  get text(): string {
    return formatCidr(this.cidr);
  }

  get rank(): number {
    return this.cidr.length;
  }

  get classes(): readonly number[] {
    return this.cidr.length === 0 ? ALL_CLASSES : [];
  }

  get followsNetwork(): boolean {
    return false;
  }

  get blockedClass(): number {
    return CLASS_OTHER;
  }

  /** A prefix within the alias is about that part of it; a wider one is not (threat row I7). */
  get countsInBlockedAlias(): boolean {
    return [...PRIVATE, ...METADATA_ADDRESSES].some((part) => contains(part, this.cidr));
  }

  prefixes(): readonly Cidr[] {
    return this.cidr.length === 0 ? [] : [this.cidr];
  }
}

export const CIDRS: TargetKind = {
  form: "an IPv4 CIDR such as 192.168.0.0/24",

  parse(text) {
    const cidr = parseCidr(text);
    return cidr && new CidrTarget(cidr);
  },

  remedy(text) {
    return parseIPv4(text) === undefined ? undefined : `did you mean ${text}/32?`;
  },
};
