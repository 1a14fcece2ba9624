/** From the host's state to a subnet: what the user chose, or the first candidate that no other softnet has. */
import { type Cidr, formatCidr } from "../policy/rule.ts";
import { UserError } from "../user-error.ts";
import { type Candidate, candidates, type HostState, overlapOf, parseSubnet, widerRoute } from "./subnet.ts";

export interface Wish {
  /** What `--subnet` said: this one and no other. */
  readonly chosen?: string;
  /** The one of before, where it is free. */
  readonly preferred?: string;
  /** Addresses in host order that must not be in it. */
  readonly avoid: readonly number[];
}

/** `isTaken`: whether another softnet has it. Throws UserError where there is none. */
export function chooseSubnet(
  state: HostState,
  { chosen, preferred, avoid }: Wish,
  isTaken: (subnet: Cidr) => boolean,
  random: () => number = Math.random,
): Candidate {
  if (chosen !== undefined) return takeChosen(state, chosen, isTaken);
  const before = preferred === undefined ? undefined : parseSubnet(preferred);
  if (before !== undefined && !isTaken(before) && overlapOf(before, state) === undefined)
    return withRoute(before, state);
  for (const candidate of candidates(state, avoid, random)) if (!isTaken(candidate.subnet)) return candidate;
  throw new UserError("no private /30 is free: this host's networks and routes cover all of RFC 1918; give --subnet");
}

function takeChosen(state: HostState, chosen: string, isTaken: (subnet: Cidr) => boolean): Candidate {
  const subnet = parseSubnet(chosen);
  if (subnet === undefined) throw noSubnet(chosen);
  if (isTaken(subnet)) throw new UserError(`--subnet ${chosen}: another softnet uses it; give another, or none`);
  const overlap = overlapOf(subnet, state);
  if (overlap === undefined) return withRoute(subnet, state);
  throw new UserError(`--subnet ${chosen} overlaps ${formatCidr(overlap)} of this host; give another, or none`);
}

function withRoute(subnet: Cidr, state: HostState): Candidate {
  const inside = widerRoute(subnet, state);
  return { subnet, ...(inside !== undefined && { inside }) };
}

export function noSubnet(chosen: string): UserError {
  return new UserError(
    `--subnet ${JSON.stringify(chosen)} is no subnet for a VM: give four addresses, such as 10.99.0.4/30`,
  );
}
