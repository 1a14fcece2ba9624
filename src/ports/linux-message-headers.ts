/** Message headers for Linux' recvmmsg, sendmmsg and sendmsg (message-headers.ts). */
import { MMSGHDR, MSGHDR } from "../native/linux/libc.ts";
import type { Batch } from "../relay/batch.ts";
import { MessageHeaders } from "./message-headers.ts";

/** Words from one mmsghdr to the next, and from its begin to its received length. */
export const HEADER_WORDS = MMSGHDR.size / 4;
export const RECEIVED_WORD = MMSGHDR.length / 4;

const LAYOUT = { size: MMSGHDR.size, iov: MSGHDR.iov, iovlen: MSGHDR.iovlen } as const;

export class LinuxMessageHeaders extends MessageHeaders {
  constructor(batch: Batch) {
    super(batch, LAYOUT);
  }
}
