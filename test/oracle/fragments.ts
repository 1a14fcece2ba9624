/**
 * The second guard's fragmented packets, in one Map for each direction, the oldest in front. What is over is thrown out
 * whenever the second changes.
 */
import type { Way } from "./rules.ts";

const MOST = 256;
const MOST_OF_ONE = 64;
const LIFETIME = 30;

/** What of a packet of either family counts here. */
export interface FragmentPacket {
  readonly source: number | bigint;
  readonly destination: number | bigint;
  readonly identification: number;
  readonly protocol: number;
  readonly offset: number;
  readonly moreFragments: boolean;
  readonly payload: Uint8Array;
  /** Of IPv6: whether the VM's end is a valid address of its at the moment. */
  readonly isOwn?: boolean;
}

interface Noted {
  readonly remote: number | bigint;
  /** The VM's end, where it is a valid IPv6 address of its. */
  readonly own: number | bigint | undefined;
  /** Where its first fragment ends. */
  readonly firstEnd: number;
  /** The second of its first fragment. */
  readonly since: number;
  /** Where what came in order ends, in bytes of the packet's payload. */
  end: number;
  /** Tokens taken since it was noted. */
  tokens: number;
  /** No fragment came out of order or twice. */
  inOrder: boolean;
}

export class Fragments {
  readonly #noted: Record<Way, Map<string, Noted>> = { in: new Map(), out: new Map() };

  /** How old the packet's first fragment is in seconds, or undefined where none is noted. */
  age(way: Way, packet: FragmentPacket, second: number): number | undefined {
    const noted = this.#noted[way].get(keyOf(packet));
    return noted && second - noted.since;
  }

  /** Where the first fragment of a noted packet ends, in bytes. */
  firstEnd(way: Way, packet: FragmentPacket): number | undefined {
    return this.#noted[way].get(keyOf(packet))?.firstEnd;
  }

  /** Notes a first fragment that passes, and says whose place it took. */
  note(way: Way, packet: FragmentPacket, second: number): "its own" | "of its remote address" | "of all" | undefined {
    const noted = this.#noted[way];
    const key = keyOf(packet);
    const remote = way === "out" ? packet.destination : packet.source;
    const again = noted.delete(key);
    const ofOne = [...noted].filter(([, one]) => one.remote === remote);
    let gone: string | undefined;
    let whose: "of its remote address" | "of all" | undefined;
    if (ofOne.length >= MOST_OF_ONE) [gone, whose] = [ofOne[0]![0], "of its remote address"];
    else if (noted.size >= MOST) [gone, whose] = [[...noted.keys()][0]!, "of all"];
    if (gone !== undefined) noted.delete(gone);
    const { length } = packet.payload;
    const own = packet.isOwn ? (way === "out" ? packet.source : packet.destination) : undefined;
    noted.set(key, { remote, own, firstEnd: length, since: second, end: length, tokens: 1, inOrder: true });
    return again ? "its own" : whose;
  }

  /** A later fragment of a noted packet passes: the tokens to give back where the packet is whole with it. */
  follow(way: Way, packet: FragmentPacket): { kind: "whole" | "next" | "out of order"; tokens: number } {
    const noted = this.#noted[way].get(keyOf(packet))!;
    noted.tokens += 1;
    if (packet.offset !== noted.end) {
      noted.inOrder = false;
      return { kind: "out of order", tokens: 0 };
    }
    noted.end += packet.payload.length;
    if (packet.moreFragments) return { kind: "next", tokens: 0 };
    this.#noted[way].delete(keyOf(packet));
    return { kind: "whole", tokens: noted.inOrder ? noted.tokens : 0 };
  }

  forgetOlder(second: number): void {
    for (const noted of Object.values(this.#noted)) {
      for (const [key, { since }] of noted) if (second - since > LIFETIME) noted.delete(key);
    }
  }

  /** An address of the VM's has ended. */
  forgetOf(address: bigint): void {
    for (const noted of Object.values(this.#noted)) {
      for (const [key, { own }] of noted) if (own === address) noted.delete(key);
    }
  }

  forgetAll(): void {
    for (const noted of Object.values(this.#noted)) noted.clear();
  }
}

function keyOf({ source, destination, identification, protocol, isOwn }: FragmentPacket): string {
  return `${source} ${destination} ${identification} ${protocol} ${isOwn ? "own" : ""}`;
}
