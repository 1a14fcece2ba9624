/**
 * The file with one VM's options, for `softnet run-config` and `softnet check-config`: `/etc/softnet/vms/NAME.conf`, what the
 * libvirt hook wrote for `DOMAIN:NUMBER`, or any path. Where softnet is root, only root may have been able to write it, since what stands there is done as root.
 */
import { closeSync, constants, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import { OTHERS_MAY_WRITE } from "../file-modes.ts";
import { hookFile, isHookInstance } from "../operate/hook-files.ts";
import { isVmName } from "../registry/vm-names.ts";
import { UserError } from "../user-error.ts";

export const CONFIG_FOLDER = "/etc/softnet/vms";

/** Bytes: enough for a thousand rules. */
export const LARGEST_CONFIG = 65_536;

/** The path of a VM's file. A word with a slash is a path itself. Throws UserError for what is neither. */
export function configPath(word: string): string {
  if (word.includes("/")) return resolve(word);
  if (isHookInstance(word)) return hookFile(word);
  if (isVmName(word)) return `${CONFIG_FOLDER}/${word}.conf`;
  throw new UserError(
    `${JSON.stringify(word.slice(0, 80))} is no name of a VM: give 1 to 63 letters, digits, ".", "_" or "-", or a path with a slash`,
  );
}

/** The path of a VM's file where there is one. */
export function existingConfig(name: string): string | undefined {
  const path = isVmName(name) ? configPath(name) : undefined;
  return path !== undefined && existsSync(path) ? path : undefined;
}

/** Reads it with the rights that the process has now. `euid` is this process's. Throws UserError. */
export function readVmConfig(path: string, euid: number | undefined = process.geteuid?.()): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe would wait for its writer
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new UserError(`${path}: there is no such file: write the VM's options there`);
    throw new UserError(`${path} cannot be read (${code}): correct its mode`);
  }
  try {
    const { uid, mode, size } = fstatSync(fd);
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw new UserError(`${path} is not a file: make it one`);
    if (euid === 0 && uid !== 0) {
      throw new UserError(`${path} belongs to user ${uid}, not to root: run "chown root ${path}" as root`);
    }
    if (euid === 0 && (mode & OTHERS_MAY_WRITE) !== 0) {
      throw new UserError(`${path} can be written by others than root: run "chmod go-w ${path}" as root`);
    }
    if (size > LARGEST_CONFIG) {
      throw new UserError(
        `${path} has ${size} bytes: it may have at most ${LARGEST_CONFIG}; use policy FILE for rules`,
      );
    }
    return decode(path, readBounded(fd, path));
  } finally {
    closeSync(fd);
  }
}

/** The file may grow while it is read. */
function readBounded(fd: number, path: string): Uint8Array {
  const bytes = Buffer.alloc(LARGEST_CONFIG + 1);
  let size = 0;
  for (let read = -1; read !== 0 && size < bytes.length; size += read) {
    read = readSync(fd, bytes, size, bytes.length - size, null);
  }
  if (size > LARGEST_CONFIG) throw new UserError(`${path}: it may have at most ${LARGEST_CONFIG} bytes`);
  return bytes.subarray(0, size);
}

function decode(path: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${path}: it is not UTF-8 text: save it as UTF-8`);
  }
}
