/**
 * BPF_PROG_TEST_RUN (bpf(2)): runs a loaded program of traffic control on a frame, without any interface. The kernel makes a
 * packet of the bytes, all in one piece, without a tag, complete; what the program would do with it does not happen.
 */
import type { LinuxLibc } from "../../../src/native/linux/libc.ts";
import { allocate } from "../../../src/native/memory.ts";

const BPF_PROG_TEST_RUN = 10;
/** union bpf_attr, as this command reads and writes it. */
const ATTRIBUTES = { size: 80, program: 0, returned: 4, length: 8, lengthOut: 12, data: 16, repeat: 32 } as const;

/** Bytes of the longest frame: a page without the room that the kernel keeps at both its ends. */
export const LONGEST = 3_400;
/** Bytes of an Ethernet header with IPv4's: the kernel refuses less of IPv4. */
export const SHORTEST = 34;

export class TestRun {
  readonly #libc: LinuxLibc;
  readonly #memory = allocate(4096);
  readonly #attributes = new Uint8Array(ATTRIBUTES.size);
  readonly #words = new Uint32Array(this.#attributes.buffer);

  constructor(libc: LinuxLibc) {
    this.#libc = libc;
    new DataView(this.#attributes.buffer).setBigUint64(ATTRIBUTES.data, BigInt(this.#memory.address), true);
    this.#words[ATTRIBUTES.repeat / 4] = 1;
  }

  /** What is run next; at most LONGEST bytes. */
  set frame(frame: Uint8Array) {
    this.#memory.bytes.set(frame);
    this.#words[ATTRIBUTES.length / 4] = frame.length;
  }

  /** Returns what the program returns, a signed number; undefined where the kernel does not make a packet of the frame. */
  run(program: number): number | undefined {
    this.#words[ATTRIBUTES.program / 4] = program;
    this.#words[ATTRIBUTES.lengthOut / 4] = 0; // the kernel writes here how long the packet is; none of it is wanted
    if (this.#libc.bpf(BPF_PROG_TEST_RUN, this.#attributes) < 0) return undefined;
    return this.#words[ATTRIBUTES.returned / 4]! | 0;
  }

  free(): void {
    this.#memory.free();
  }
}
