/**
 * Which names each VM asked for last. softnet counts names and says no times, so a name whose count has grown since the sample
 * before is the newer one. In the first sample the names that were first asked for last count as the newest.
 */
import type { NameTotal, Sample } from "./sample.ts";

/** Names that are kept for a VM. */
const MOST_RECENT = 5;

export class RecentNames {
  /** By the path of the control socket. */
  readonly #known = new Map<
    string,
    { readonly counts: ReadonlyMap<string, number>; readonly recent: readonly string[] }
  >();

  /** Takes the names of a sample in, and forgets VMs that are gone. */
  note({ names, vms }: Sample): void {
    for (const [path, totals] of names) this.#noteVm(path, totals);
    const present = new Set(vms.map(({ found }) => found.control));
    for (const path of this.#known.keys()) if (!present.has(path)) this.#known.delete(path);
  }

  /** The newest first. */
  of(path: string | undefined): readonly string[] {
    return this.#known.get(path ?? "")?.recent ?? [];
  }

  #noteVm(path: string, totals: readonly NameTotal[]): void {
    const before = this.#known.get(path);
    const counts = new Map(totals.map(({ name, asked }) => [name, asked]));
    const newer = totals.filter(({ name, asked }) => asked > (before?.counts.get(name) ?? 0)).map(({ name }) => name);
    const recent = [...new Set([...newer.toReversed(), ...(before?.recent ?? [])])].slice(0, MOST_RECENT);
    this.#known.set(path, { counts, recent });
  }
}
