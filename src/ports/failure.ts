/** Turns an error number into the error that a port throws: its other side is gone, or it broke. */
import {
  describeError,
  EBADFD,
  ECONNREFUSED,
  ECONNRESET,
  ENODEV,
  ENOTCONN,
  ENXIO,
  EPIPE,
} from "../native/linux/errno.ts";
import { PortClosed, PortFailed } from "../relay/port.ts";

/** The other side is gone. */
export const GONE: ReadonlySet<number> = new Set([ECONNREFUSED, ECONNRESET, EPIPE, ENOTCONN, EBADFD, ENXIO, ENODEV]);

/** `doing` completes "cannot …": `receive`, `send`. */
export function failure(label: string, doing: string, errno: number): PortClosed | PortFailed {
  if (GONE.has(errno)) return new PortClosed(label, `the other side is gone (${describeError(errno)})`);
  return new PortFailed(label, `cannot ${doing}: ${describeError(errno)}`);
}
