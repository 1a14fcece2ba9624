/** Passes a descriptor through a unix socket together with one byte (SCM_RIGHTS, unix(7)). */
import { allocate } from "../memory.ts";
import { describeError } from "./errno.ts";
import {
  CMSG_DESCRIPTOR,
  IOVEC,
  type LinuxLibc,
  MSG_CMSG_CLOEXEC,
  MSG_NOSIGNAL,
  MSGHDR,
  SCM_RIGHTS,
  SOL_SOCKET,
} from "./libc.ts";

/** Bytes of struct cmsghdr and the descriptor, without padding. */
const CMSG_LENGTH = 20;
const BYTE = MSGHDR.size + IOVEC.size + CMSG_DESCRIPTOR.size;

/** Sends `descriptor` with one byte, `mark`. Throws Error when the socket takes none. */
export function sendDescriptor(libc: LinuxLibc, socket: number, mark: number, descriptor: number): void {
  const { address, view, free } = message();
  try {
    const control = MSGHDR.size + IOVEC.size;
    view.setUint8(BYTE, mark);
    view.setBigUint64(control + CMSG_DESCRIPTOR.length, BigInt(CMSG_LENGTH), true);
    view.setInt32(control + CMSG_DESCRIPTOR.level, SOL_SOCKET, true);
    view.setInt32(control + CMSG_DESCRIPTOR.type, SCM_RIGHTS, true);
    view.setInt32(control + CMSG_DESCRIPTOR.descriptor, descriptor, true);
    if (libc.sendmsg(socket, address, MSG_NOSIGNAL) !== 1) throw new Error(describeError(libc.errno()));
  } finally {
    free();
  }
}

/** Waits for one byte. Returns the descriptor that came with it; undefined when the other end closed or sent none. */
export function receiveDescriptor(libc: LinuxLibc, socket: number): number | undefined {
  const { address, view, free } = message();
  try {
    if (libc.recvmsg(socket, address, MSG_CMSG_CLOEXEC) !== 1) return undefined;
    const control = MSGHDR.size + IOVEC.size;
    const isDescriptor =
      view.getBigUint64(MSGHDR.controlLength, true) >= CMSG_LENGTH &&
      view.getInt32(control + CMSG_DESCRIPTOR.level, true) === SOL_SOCKET &&
      view.getInt32(control + CMSG_DESCRIPTOR.type, true) === SCM_RIGHTS;
    return isDescriptor ? view.getInt32(control + CMSG_DESCRIPTOR.descriptor, true) : undefined;
  } finally {
    free();
  }
}

/** Header, vector of one byte, room for one descriptor. */
function message(): { address: number; view: DataView; free: () => void } {
  const { address, bytes, free } = allocate(BYTE + 1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setBigUint64(MSGHDR.iov, BigInt(address + MSGHDR.size), true);
  view.setBigUint64(MSGHDR.iovlen, 1n, true);
  view.setBigUint64(MSGHDR.control, BigInt(address + MSGHDR.size + IOVEC.size), true);
  view.setBigUint64(MSGHDR.controlLength, BigInt(CMSG_DESCRIPTOR.size), true);
  view.setBigUint64(MSGHDR.size + IOVEC.base, BigInt(address + BYTE), true);
  view.setBigUint64(MSGHDR.size + IOVEC.length, 1n, true);
  return { address, view, free };
}
