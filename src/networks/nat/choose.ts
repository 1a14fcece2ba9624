/** From the host's state to a reserved subnet: what the user chose, or the first free candidate that no other softnet has. */
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { type Cidr, formatCidr } from "../../policy/rule.ts";
import { UserError } from "../../user-error.ts";
import { type Candidate, candidates, type HostState, overlapOf, parseSubnet, widerRoute } from "./subnet.ts";
import { reserveSubnet } from "./subnet-lock.ts";

export interface Reserved extends Candidate {
  /** The reservation; closing it gives the subnet back. */
  readonly lock: number;
}

/** Reserves a subnet; `chosen` is what `--subnet` said. Throws UserError. */
export function chooseSubnet(
  libc: LinuxLibc,
  state: HostState,
  chosen: string | undefined,
  avoid: readonly number[],
  random: () => number = Math.random,
): Reserved {
  if (chosen !== undefined) return takeChosen(libc, state, chosen);
  for (const candidate of candidates(state, avoid, random)) {
    const lock = reserveSubnet(libc, candidate.subnet);
    if (lock !== undefined) return { ...candidate, lock };
  }
  throw new UserError("no private /30 is free: this host's networks and routes cover all of RFC 1918; give --subnet");
}

function takeChosen(libc: LinuxLibc, state: HostState, chosen: string): Reserved {
  const subnet = parseSubnet(chosen);
  if (subnet === undefined) {
    throw new UserError(
      `--subnet ${JSON.stringify(chosen)} is no subnet for a VM: give four addresses, such as 10.99.0.4/30`,
    );
  }
  const lock = reserveSubnet(libc, subnet);
  if (lock === undefined) throw new UserError(`--subnet ${chosen}: another softnet uses it; give another, or none`);
  const overlap = overlapOf(subnet, state);
  if (overlap !== undefined) {
    libc.close(lock);
    throw new UserError(`--subnet ${chosen} overlaps ${formatCidr(overlap)} of this host; give another, or none`);
  }
  const inside: Cidr | undefined = widerRoute(subnet, state);
  return { subnet, lock, ...(inside !== undefined && { inside }) };
}
