/** Admitted flows of IPv6 (bpf/admitted6.h, struct flow6): with the place of the VM's address, and the remote one's words. */

import type { RemoteAddresses } from "../guard/flow-observer.ts";
import { placeOf } from "../guard/flow-state.ts";
import { AdmittedFlows, FAMILYS, type Report, sizeOfFlows } from "./admitted-flows.ts";

const WORDS = 12;
const REMOTE = 8;

/** Bytes. */
export const FLOWS6_SIZE = sizeOfFlows(WORDS);

export class AdmittedFlows6 extends AdmittedFlows {
  readonly #secret: Int32Array;
  readonly #remotes: RemoteAddresses;

  /** `memory`: FLOWS6_SIZE bytes. `secret`: two numbers of the hash. `remotes`: what the numbers of remote addresses mean. */
  constructor(memory: ArrayBuffer, secret: Int32Array, remotes: RemoteAddresses, report: Report) {
    super(memory, WORDS, report);
    this.#secret = secret;
    this.#remotes = remotes;
  }

  /** bucket_of6 in bpf/ipv6.h. */
  protected hashOf(remote: number, ports: number, udp: number): number {
    this.#remotes.select(remote);
    const { words } = this.#remotes;
    let hash = Math.imul(words[0]! ^ this.#secret[0]!, 0x9e3779b1);
    hash = mix(hash, words[1]! ^ this.#secret[1]!, 0x85ebca77);
    hash = mix(hash, words[2]!, 0xc2b2ae3d);
    hash = mix(hash, words[3]!, 0x9e3779b1);
    hash = mix(hash, ports, 0x85ebca77);
    return Math.imul(hash ^ (hash >>> 13) ^ udp, 0xc2b2ae3d);
  }

  protected putAddresses(at: number, kind: number, remote: number): void {
    this.#remotes.select(remote);
    const { words } = this.#remotes;
    Atomics.store(this.words, at + FAMILYS, placeOf(kind));
    for (let word = 0; word < 4; word++) Atomics.store(this.words, at + REMOTE + word, words[word]!);
  }
}

function mix(hash: number, word: number, factor: number): number {
  return Math.imul(hash ^ (hash >>> 15) ^ word, factor);
}
