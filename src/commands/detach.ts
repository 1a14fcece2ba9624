/** `softnet detach INTERFACE`: puts an interface back that an ended softnet has left closed. Root's. */
import { nameOf, putBack } from "../attach/put-back.ts";
import { AttachRecords } from "../attach/record.ts";
import { loadLibc } from "../native/linux/libc.ts";
import { DIRECTORY } from "../registry/linux.ts";
import { UserError } from "../user-error.ts";

/** Throws UserError. */
export async function detach(name: string): Promise<void> {
  if (process.platform !== "linux") throw new UserError("softnet detach is for Linux");
  if (process.geteuid!() !== 0) throw new UserError("softnet detach needs root: run it as root");
  const libc = loadLibc();
  const records = new AttachRecords(libc, DIRECTORY);
  const index = libc.if_nametoindex(name);
  const record = records.read(index);
  if (record === undefined || nameOf(libc, record) === undefined) {
    throw new UserError(`detach ${name}: softnet has not closed it; "softnet list" shows what it has`);
  }
  const lock = records.lock(index);
  if (lock === undefined) {
    throw new UserError(`detach ${name}: softnet (process ${record.pid}) is attached to it; end that one first`);
  }
  putBack(libc, record);
  records.remove(index);
}
