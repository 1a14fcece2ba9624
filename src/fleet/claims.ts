/**
 * Addresses that VMs on two hosts have on the same network. No softnet can decide that inline: what another host says comes too late
 * for a frame, and each host's registry knows its own VMs alone. So it is only told.
 *
 * Only VMs whose agent says which of the fleet's networks they are on are compared (`--shared-network`): a bridge called br0 on two
 * hosts need not be the same network, and the network of a nat VM is its own.
 */
import { fieldsOf, listOf, textOf } from "../operate/fields.ts";
import { isFleetName } from "./places.ts";
import type { StateRecord } from "./state-record.ts";

/** Addresses of one VM that are compared. */
const MOST_ADDRESSES = 32;

export interface Claim {
  readonly host: string;
  readonly vm: string;
}

export interface Conflict {
  readonly network: string;
  readonly address: string;
  /** On two hosts at least; sorted. */
  readonly claims: readonly Claim[];
}

export interface Changed {
  readonly began: readonly Conflict[];
  readonly ended: readonly Conflict[];
}

export class Claims {
  /** Claims by network and address, and the addresses of each VM, by host and VM. */
  readonly #claims = new Map<string, Map<string, Claim>>();
  readonly #addresses = new Map<string, readonly string[]>();

  /** Replaces what is known of one VM; without a record it is gone. Returns the conflicts that it has now and had not, and that are over. */
  set(host: string, vm: string, record: StateRecord | undefined): Changed {
    const whose = `${host}/${vm}`;
    const before = this.#addresses.get(whose) ?? [];
    const now = record === undefined ? [] : addressesOf(record);
    const ended = before.filter((place) => !now.includes(place)).flatMap((place) => this.#remove(place, whose) ?? []);
    if (now.length === 0) this.#addresses.delete(whose);
    else this.#addresses.set(whose, now);
    const began: Conflict[] = [];
    for (const place of now) {
      if (before.includes(place)) continue;
      const claims = this.#claims.get(place) ?? new Map<string, Claim>();
      this.#claims.set(place, claims.set(whose, { host, vm }));
      const conflict = this.#conflictAt(place);
      if (conflict !== undefined) began.push(conflict);
    }
    return { began, ended };
  }

  /** What a VM is in conflict with at present. */
  of(host: string, vm: string): Conflict[] {
    return (this.#addresses.get(`${host}/${vm}`) ?? []).flatMap((place) => this.#conflictAt(place) ?? []);
  }

  #conflictAt(place: string): Conflict | undefined {
    const claims = [...(this.#claims.get(place)?.values() ?? [])];
    if (new Set(claims.map(({ host }) => host)).size < 2) return undefined;
    const [network = "", address = ""] = place.split(" ");
    const inOrder = claims.sort((a, b) => (`${a.host}/${a.vm}` < `${b.host}/${b.vm}` ? -1 : 1));
    return { network, address, claims: inOrder };
  }

  /** Returns the conflict that is over by that. */
  #remove(place: string, whose: string): Conflict | undefined {
    const conflict = this.#conflictAt(place);
    const claims = this.#claims.get(place);
    claims?.delete(whose);
    if (claims?.size === 0) this.#claims.delete(place);
    return this.#conflictAt(place) === undefined ? conflict : undefined;
  }
}

/** `NETWORK ADDRESS` for each address of a VM that has a softnet and is on a shared network. */
function addressesOf({ sharedNetwork, reachable, binding, ipv6 }: StateRecord): string[] {
  if (typeof sharedNetwork !== "string" || !isFleetName(sharedNetwork) || reachable !== true) return [];
  const found = [binding, ...listOf(ipv6).slice(0, MOST_ADDRESSES)].flatMap(
    (one) => textOf(fieldsOf(one).address) ?? [],
  );
  return [...new Set(found.filter((address) => !address.includes(" ")))].map(
    (address) => `${sharedNetwork} ${address}`,
  );
}

/** In words: `10.0.0.5 on lan is also h2/web2's`; for the VM itself. */
export function describeConflict({ network, address, claims }: Conflict, host: string, vm: string): string {
  const others = claims.filter((claim) => claim.host !== host || claim.vm !== vm);
  return `${address} on ${network} is claimed by ${others.map((claim) => `${claim.host}/${claim.vm}`).join(", ")} too`;
}
