/** A target that is written as an IPv4 prefix: `192.168.0.0/24`. */
import { parseIPv4 } from "../../wire/address.ts";
import { type Cidr, contains, formatCidr, parseCidr } from "../cidr.ts";
import { ALL_CLASSES, CLASS_METADATA, CLASS_OTHER, CLASS_PRIVATE } from "../default-layer.ts";
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

  get cidr6(): undefined {
    return undefined;
  }

  get classes6(): readonly number[] {
    return [];
  }

  get name(): undefined {
    return undefined;
  }

  get followsNetwork(): boolean {
    return false;
  }

  get blockedClass(): number {
    return CLASS_OTHER;
  }

  /** A prefix within the alias is about that part of it; a wider one is not (threat row I7). */
  countsInBlocked(addressClass: number): boolean {
    const parts = addressClass === CLASS_PRIVATE ? PRIVATE : METADATA_ADDRESSES;
    return (
      (addressClass === CLASS_PRIVATE || addressClass === CLASS_METADATA) &&
      parts.some((part) => contains(part, this.cidr))
    );
  }

  prefixes(): readonly Cidr[] {
    return this.cidr.length === 0 ? [] : [this.cidr];
  }

  prefixes6(): readonly [] {
    return [];
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
