/** Darwin's lock of an open file description (record-lock.ts). */
import { RecordLock } from "../record-lock.ts";
import { describeError, EACCES, EAGAIN } from "./errno.ts";
import { F_OFD_GETLK, F_OFD_SETLK, F_RDLCK, F_UNLCK, F_WRLCK, FLOCK, type RegistryCalls } from "./registry-calls.ts";

export function darwinRecordLock(calls: RegistryCalls): RecordLock {
  return new RecordLock({
    fcntlLock: (fd, command, lock) => calls.fcntlLock(fd, command, lock),
    errno: () => calls.errno(),
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
