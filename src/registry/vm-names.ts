/**
 * Names of VMs (`--name`), and the folders in which softnet makes the control socket of a named VM by itself: one folder for
 * each name, with the socket `ctl` in it.
 *
 * - Started by root: in `vms` of the registry's folder, which only root can write to, so nobody else can take a name there.
 * - Started by another user: in `softnet` of the user's runtime folder. Names there are the user's own.
 */
import { join } from "node:path";

/** Characters of a name: as many as a label of a host name has. */
export const LONGEST_NAME = 63;

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$/;
const SOCKET = "ctl";

/** Whether a VM may have this name: no path, no option, no pattern, no MAC address, and printable. */
export function isVmName(text: string): boolean {
  return NAME.test(text);
}

/** The folder of the names that root gave. `directory` is the registry's. */
export function systemVms(directory: string): string {
  return join(directory, "vms");
}

/** Where systemd makes a runtime folder for each user who is logged in. */
export const RUNTIMES = "/run/user";

/**
 * A user's runtime folder on Linux; it may be missing. The variable is not there for a softnet with root's rights: then it
 * is the usual one.
 */
export function userRuntime(environment: Readonly<Record<string, string | undefined>>, uid: number): string {
  const { XDG_RUNTIME_DIR: given = "" } = environment;
  return given.startsWith("/") ? given : `${RUNTIMES}/${uid}`;
}

/** The folder of the names that a user gave. `runtime` is the user's runtime folder, such as /run/user/1000. */
export function userVms(runtime: string): string {
  return join(runtime, "softnet");
}

/** The path of the control socket of the VM `name`; `vms` is one of the folders above. */
export function namedControl(vms: string, name: string): string {
  return join(vms, name, SOCKET);
}

/** The name that a control socket's path gives its VM; undefined for a path that softnet did not choose. */
export function nameOfControl(path: string, vms: string): string | undefined {
  const [name = "", socket, more] = path.startsWith(`${vms}/`) ? path.slice(vms.length + 1).split("/") : [];
  return socket === SOCKET && more === undefined && isVmName(name) ? name : undefined;
}
