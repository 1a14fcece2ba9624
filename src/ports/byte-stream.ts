/** A connected byte stream, such as a control channel is: no method waits, and nothing is buffered here. */
import type { Wake } from "../native/poll.ts";

export interface ByteStream {
  /** Bytes that wait here, valid until the next call; none when nothing waits, undefined at the end. Throws when it broke. */
  receive(): Uint8Array | undefined;
  /** Returns how many of the bytes were taken. Throws when the other side is gone. */
  send(bytes: Uint8Array): number;
  /** Calls `wake` from the event loop while what it is watched for holds; replaces the previous watch. */
  watch(readable: boolean, writable: boolean, wake: Wake): void;
  /** On a tick: watches again after an error; returns whether the other side has closed both ways. */
  check(): boolean;
  close(): void;
}
