/** Message headers for Darwin's recvmsg_x and sendmsg_x (message-headers.ts). */
import { MSGHDR_X } from "../native/darwin/libc.ts";
import type { Batch } from "../relay/batch.ts";
import { MessageHeaders } from "./message-headers.ts";

/** Words from one header to the next, and from its begin to its received length. */
export const HEADER_WORDS = MSGHDR_X.size / 4;
export const RECEIVED_WORD = MSGHDR_X.length / 4;

export class DarwinMessageHeaders extends MessageHeaders {
  constructor(batch: Batch) {
    super(batch, MSGHDR_X);
  }

  /** What the kernel writes back into a header, it would read from it in the next call. */
  reset(header: number): void {
    const { words } = this;
    words[header + MSGHDR_X.nameLength / 4] = 0;
    words[header + MSGHDR_X.controlLength / 4] = 0;
    words[header + MSGHDR_X.flags / 4] = 0;
    words[header + RECEIVED_WORD] = 0;
    words[header + RECEIVED_WORD + 1] = 0;
  }
}
