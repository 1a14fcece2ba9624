/** A softnet's end of what the helper does for an attached interface (attached.ts). */
import type { Attachment } from "../attach/attachment.ts";
import type { InterfaceHelper } from "../attach/port.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { HostHelper } from "./client.ts";
import type { AttachedRequest } from "./messages.ts";

export interface InterfaceHelperOptions {
  /** The registry's folder. */
  readonly directory: string;
  /** Tells what the user should know. */
  readonly warn: (message: string) => void;
}

/** Connects to the host's helper, as root. Throws UserError. */
export async function connectInterfaceHelper(
  libc: LinuxLibc,
  { directory, warn }: InterfaceHelperOptions,
): Promise<HostHelper> {
  const helper = await HostHelper.connect(libc, directory);
  helper.onLost = (why) => warn(`${why}: the attached interface can no longer be put back by softnet itself`);
  helper.onEvent = warn;
  return helper;
}

/** The helper for that interface. Throws UserError. */
export async function helpInterface(helper: HostHelper, { index, token }: Attachment): Promise<InterfaceHelper> {
  await helper.attached({ kind: "attach", index, token });
  let last: Promise<void> = Promise.resolve();
  const request = (kind: AttachedRequest["kind"]): Promise<void> => {
    last = last.catch(() => {}).then(() => helper.attached({ kind }));
    return last;
  };
  return {
    start: () => request("start"),
    detach: () => request("detach"),
    unbridge: () => request("unbridge"),
    close: () => helper.close(),
  };
}
