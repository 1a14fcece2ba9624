/** Linux' lock of an open file description (record-lock.ts). */
import { RecordLock } from "../record-lock.ts";
import { describeError, EACCES, EAGAIN } from "./errno.ts";
import { F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, FLOCK, type LinuxLibc } from "./libc.ts";

export function linuxRecordLock(libc: LinuxLibc): RecordLock {
  return new RecordLock({
    fcntlLock: (fd, command, lock) => libc.fcntlLock(fd, command, lock),
    errno: () => libc.errno(),
    describeError,
    held: [EAGAIN, EACCES],
    set: F_OFD_SETLK,
    get: F_OFD_GETLK,
    read: F_RDLCK,
    write: F_WRLCK,
    none: F_UNLCK,
    layout: FLOCK,
  });
}
