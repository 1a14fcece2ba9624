/**
 * What a frame's sender had left to do (wire/virtio-net.ts) as a comment in a capture, so that `replay` can judge the frame
 * as it was judged: `offload TCP 1448`, or of IPv6 `offload TCP6 1428`. Only where the verdict may depend on it: large frames, headers that no frame can
 * have, and what drops for its offload. A partial checksum alone changes no verdict.
 */
import { verdictOf } from "../guard/reasons.ts";
import {
  MALFORMED,
  offloadKind,
  PARTIAL_TCP,
  PARTIAL_TCP6,
  PARTIAL_UDP,
  PARTIAL_UDP6,
  segmentSizeOf,
  VERIFIED_TCP,
  VERIFIED_TCP6,
} from "../wire/virtio-net.ts";

const FRAME_OFFLOAD = verdictOf("frame.offload");

const KINDS: readonly (readonly [kind: number, text: string])[] = [
  [PARTIAL_TCP, "offload TCP"],
  [PARTIAL_UDP, "offload UDP"],
  [VERIFIED_TCP, "offload verified TCP"],
  [PARTIAL_TCP6, "offload TCP6"],
  [PARTIAL_UDP6, "offload UDP6"],
  [VERIFIED_TCP6, "offload verified TCP6"],
  [MALFORMED, "offload malformed"],
];

const PATTERN = /^(offload (?:TCP6?|UDP6?|verified TCP6?|malformed))(?: ([1-9]\d{0,4}))?$/;
/** Digits of the largest segment size. */
const DIGITS = 5;
const ZERO = 0x30;

/** Writes notes, one after the other, into the same bytes. */
export class OffloadNote {
  readonly bytes = new Uint8Array(32);
  readonly #texts = new Map(KINDS.map(([kind, text]) => [kind, new TextEncoder().encode(text)]));

  /** The note's length in `bytes`; 0 = the frame needs none. Allocates nothing. */
  write(offload: number, verdict: number): number {
    if (offload === 0) return 0;
    const kind = offloadKind(offload);
    const size = segmentSizeOf(offload);
    if (size === 0 && kind !== MALFORMED && verdict !== FRAME_OFFLOAD) return 0;
    const text = this.#texts.get(kind)!;
    this.bytes.set(text);
    return size === 0 ? text.length : this.#putSize(text.length, size);
  }

  /** A space and the number; returns where it ends. */
  #putSize(at: number, size: number): number {
    this.bytes[at] = 0x20;
    let digits = 1;
    while (digits < DIGITS && size >= 10 ** digits) digits++;
    let rest = size;
    for (let place = at + digits; place > at; place--) {
      this.bytes[place] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    return at + digits + 1;
  }
}

/** The offload that a comment notes; undefined where it is another comment. */
export function parseOffloadNote(text: string): number | undefined {
  const [, words, size = "0"] = PATTERN.exec(text) ?? [];
  const kind = KINDS.find(([, known]) => known === words)?.[0];
  const bytes = Number(size);
  if (kind === undefined || bytes > 0xffff || (kind === MALFORMED && bytes > 0)) return undefined;
  return kind | bytes;
}
