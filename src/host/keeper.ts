/** A softnet's end of what the helper does for an attached interface (attached.ts). */
import type { Attachment } from "../attach/attachment.ts";
import type { Keeper } from "../attach/port.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { HostHelper } from "./client.ts";
import type { AttachedRequest } from "./messages.ts";

export interface KeeperOptions {
  /** The registry's folder. */
  readonly directory: string;
  /** Tells what the user should know. */
  readonly warn: (message: string) => void;
}

/** Connects to the host's helper, as root. Throws UserError. */
export async function connectKeeper(libc: LinuxLibc, { directory, warn }: KeeperOptions): Promise<HostHelper> {
  const helper = await HostHelper.connect(libc, directory);
  helper.onLost = (why) => warn(`${why}: the attached interface can no longer be put back by softnet itself`);
  helper.onEvent = warn;
  return helper;
}

/** The helper for that interface. Throws UserError. */
export async function keep(helper: HostHelper, { index, token }: Attachment): Promise<Keeper> {
  await helper.attached({ kind: "attach", index, token });
  let last: Promise<void> = Promise.resolve();
  const say = (kind: AttachedRequest["kind"]): Promise<void> => {
    last = last.catch(() => {}).then(() => helper.attached({ kind }));
    return last;
  };
  return {
    settle: () => say("settle"),
    detach: () => say("detach"),
    unbridge: () => say("unbridge"),
    close: () => helper.close(),
  };
}
