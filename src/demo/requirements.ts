/** Checks before anything is made that the machine can run the demo; otherwise one line names the remedy. */
import { closeSync, openSync } from "node:fs";
import { UserError } from "../user-error.ts";
import { ip } from "./ip.ts";
import { Namespace } from "./namespace.ts";

const TUN = "/dev/net/tun";
const CONTAINER = "in a container, start that with --privileged --device /dev/net/tun";

/** Throws UserError; nothing is left behind then. */
export function checkRequirements(): void {
  if (process.platform !== "linux") {
    throw new UserError(`the demo needs Linux, and this is ${process.platform}: run it in a Linux virtual machine`);
  }
  if (process.geteuid?.() !== 0) {
    throw new UserError("the demo makes network namespaces, which needs root: run it with sudo");
  }
  ip(["-V"]);
  openTun();
  tryNamespace();
}

function openTun(): void {
  try {
    closeSync(openSync(TUN, "r+"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UserError(`the demo cannot open ${TUN} (${code}): run "modprobe tun"; ${CONTAINER}`);
  }
}

/** Makes what the demo is made of, in small, and takes it away. */
function tryNamespace(): void {
  let namespace: Namespace | undefined;
  try {
    namespace = new Namespace("check");
    namespace.batch([
      "link add br0 type bridge",
      "link add one type veth peer name two",
      "tuntap add dev three mode tap",
    ]);
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { message } = error as Error;
    throw new UserError(`the demo cannot make a network namespace with a bridge (${message}): ${CONTAINER}`);
  } finally {
    namespace?.delete();
  }
}
