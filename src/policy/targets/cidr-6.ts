/** A target that is written as an IPv6 prefix: `2001:db8::/32`; in brackets where a port follows (rule.ts). */
import { type Cidr6, contains6, formatCidr6, parseCidr6 } from "../cidr-6.ts";
import { ALL_CLASSES, CLASS_METADATA, CLASS_OTHER, CLASS_PRIVATE } from "../default-layer.ts";
import { METADATA_ADDRESSES_6, PRIVATE_6 } from "../special-purpose-6.ts";
import type { Target, TargetKind } from "./target.ts";

export class Cidr6Target implements Target {
  readonly cidr6: Cidr6;

  constructor(cidr6: Cidr6) {
    this.cidr6 = cidr6;
  }

  get text(): string {
    return formatCidr6(this.cidr6);
  }

  get rank(): number {
    return this.cidr6.length;
  }

  get cidr(): undefined {
    return undefined;
  }

  get classes(): readonly number[] {
    return [];
  }

  get classes6(): readonly number[] {
    return this.cidr6.length === 0 ? ALL_CLASSES : [];
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

  countsInBlocked(addressClass: number): boolean {
    const parts = addressClass === CLASS_PRIVATE ? [PRIVATE_6] : METADATA_ADDRESSES_6;
    return (
      (addressClass === CLASS_PRIVATE || addressClass === CLASS_METADATA) &&
      parts.some((part) => contains6(part, this.cidr6))
    );
  }

  prefixes(): readonly [] {
    return [];
  }

  prefixes6(): readonly Cidr6[] {
    return this.cidr6.length === 0 ? [] : [this.cidr6];
  }
}

export const CIDRS_6: TargetKind = {
  form: "an IPv6 CIDR such as 2001:db8::/32 (in brackets before a port)",

  parse(text) {
    const cidr = parseCidr6(text);
    return cidr && new Cidr6Target(cidr);
  },
};
