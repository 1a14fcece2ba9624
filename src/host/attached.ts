/**
 * The helper's part for a softnet that is attached to an interface and has no rights any more. Nothing that it says is
 * trusted but what root has written into the interface's record (attach/record.ts): which interface is its own, where that
 * was before, and whether it may go back there. What it can ask for is:
 *
 *   start     its VM's frames pass from now on
 *   unbridge   another program put the interface into a bridge: out with it
 *   detach     the interface goes back to where it was: before `start`, or where the user wants it so
 *
 * When the softnet has ended, nothing is done: the interface's programs stay, and keep it closed.
 */
import { ownerOf } from "../attach/attachment.ts";
import { nameOf, putBack } from "../attach/put-back.ts";
import { type AttachRecord, AttachRecords } from "../attach/record.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { changeLinks } from "../native/linux/link-changes.ts";
import type { AttachedRequest, AttachRequest } from "./messages.ts";

export class AttachedInterface {
  readonly #libc: LinuxLibc;
  readonly #record: AttachRecord;
  #started = false;

  /** Throws Error unless root's record says that the interface is this softnet's. */
  constructor({ libc, directory }: { libc: LinuxLibc; directory: string }, { index, token }: AttachRequest) {
    const record = new AttachRecords(libc, directory).read(index);
    if (record === undefined || record.owner !== ownerOf(token)) throw new Error("this is not softnet's interface");
    this.#libc = libc;
    this.#record = record;
  }

  /** Throws Error with what is wrong, for people. */
  serve(request: AttachedRequest["kind"]): void {
    if (request === "start") this.#started = true;
    else if (request === "unbridge") this.#unbridge();
    else if (this.#started && !this.#record.openOnExit) throw new Error("the interface is to stay closed");
    else putBack(this.#libc, this.#record);
  }

  #unbridge(): void {
    if (nameOf(this.#libc, this.#record) === undefined) return;
    changeLinks(this.#libc, (links) => links.setMaster(this.#record.index, 0));
  }
}
