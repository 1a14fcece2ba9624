/**
 * The fleet's VMs as one who watches them knows them: labels, and who claims which address. Bounded, whatever agents tell; a VM that
 * no agent tells of any more is forgotten, by a clock that nobody sets.
 */
import { type Changed, Claims } from "./claims.ts";
import { STATE_LIFE } from "./places.ts";
import { labelsOf, type StateChange } from "./state-record.ts";

/** Of the fleet and of one host. */
export const MOST_RECORDS = 100_000;
export const MOST_OF_A_HOST = 1_000;

interface Known {
  readonly host: string;
  readonly name: string;
  readonly labels: readonly string[];
  /** Milliseconds of `now`. */
  readonly seen: number;
}

export class KnownVms {
  readonly claims = new Claims();
  readonly #vms = new Map<string, Known>();
  readonly #ofHost = new Map<string, number>();
  readonly #now: () => number;

  /** `now`: milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  labels(host: string, name: string): readonly string[] {
    return this.#vms.get(`${host}/${name}`)?.labels ?? [];
  }

  /** Takes a change of a VM's state. Returns what changes by it. */
  take({ host, name, record }: StateChange): Changed {
    const whose = `${host}/${name}`;
    const isKnown = this.#vms.has(whose);
    const count = this.#ofHost.get(host) ?? 0;
    if (record === undefined) {
      if (isKnown) this.#forget(whose, host, count);
      return this.claims.set(host, name, undefined);
    }
    if (!isKnown) {
      if (count >= MOST_OF_A_HOST || this.#vms.size >= MOST_RECORDS) return { began: [], ended: [] };
      this.#ofHost.set(host, count + 1);
    }
    this.#vms.set(whose, { host, name, labels: labelsOf(record), seen: this.#now() });
    return this.claims.set(host, name, record);
  }

  /** Forgets those that nobody has told of for too long. Returns what changes by it. */
  forgetOld(): Changed {
    const began = this.#now() - STATE_LIFE;
    const ended = [...this.#vms.values()]
      .filter(({ seen }) => seen < began)
      .flatMap(({ host, name }) => this.take({ host, name, record: undefined }).ended);
    return { began: [], ended };
  }

  #forget(whose: string, host: string, count: number): void {
    this.#vms.delete(whose);
    if (count > 1) this.#ofHost.set(host, count - 1);
    else this.#ofHost.delete(host);
  }
}
