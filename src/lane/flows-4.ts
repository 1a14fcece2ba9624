/** Admitted flows of IPv4 (bpf/admitted.h, struct flow). */
import { AdmittedFlows, FAMILYS, type Report, sizeOfFlows } from "./admitted-flows.ts";

const WORDS = 8;

/** Bytes. */
export const FLOWS_SIZE = sizeOfFlows(WORDS);

export class AdmittedFlows4 extends AdmittedFlows {
  readonly #secret: Int32Array;

  /** `memory`: FLOWS_SIZE bytes. `secret`: two numbers of the hash. */
  constructor(memory: ArrayBuffer, secret: Int32Array, report: Report) {
    super(memory, WORDS, report);
    this.#secret = secret;
  }

  /** bucket_of in bpf/lane.bpf.c. */
  protected hashOf(remote: number, ports: number, udp: number): number {
    let hash = Math.imul(remote ^ this.#secret[0]!, 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15) ^ ports ^ this.#secret[1]!, 0x85ebca77);
    return Math.imul(hash ^ (hash >>> 13) ^ udp, 0xc2b2ae3d);
  }

  protected putAddresses(at: number, _kind: number, remote: number): void {
    Atomics.store(this.words, at + FAMILYS, remote);
  }
}
