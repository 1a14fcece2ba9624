/** `--control-fd`: looked at before anything starts, and taken over so that nothing else of softnet's touches it. */
import { openSync } from "node:fs";
import { UserError } from "../user-error.ts";
import type { UnixSystem } from "./unix-system.ts";

const FIRST_ORDINARY = 3;
const STDERR = 2;
const WANTED = "a connected unix stream socket, such as one end of a socketpair";

// sys/socket.h, the same on Linux and Darwin
const AF_UNIX = 1;
const SOCK_STREAM = 1;

/** Descriptors on the command line. */
export interface GivenDescriptors {
  readonly controlFd?: number;
  readonly vmFd?: number;
  readonly hostFd?: number;
}

/** Throws UserError unless the descriptor is a connected unix stream socket and nothing else's. */
export function checkControlDescriptor(system: UnixSystem, { controlFd: fd, vmFd, hostFd }: GivenDescriptors): void {
  if (fd === undefined) return;
  if (fd === vmFd) throw new UserError(`--control-fd ${fd}: that is the VM's descriptor too; pass another`);
  if (fd === hostFd) throw new UserError(`--control-fd ${fd}: that is the network's descriptor too; pass another`);
  if (fd === STDERR) throw new UserError("--control-fd 2: that is where the log goes; pass another descriptor");
  const { domain, type } = system.connected("--control-fd", fd, WANTED);
  if (domain !== AF_UNIX || type !== SOCK_STREAM) {
    throw new UserError(`--control-fd ${fd}: not a unix stream socket; pass ${WANTED}`);
  }
}

/**
 * A close-on-exec copy of the descriptor, which itself is closed, so that the end of the copy is the end of the channel. In
 * place of one of the first three (Tart's is standard output) comes /dev/null: whatever is printed there never arrives.
 */
export function takeControlDescriptor({ libc, errors, duplicate }: UnixSystem, fd: number): number {
  const copy = duplicate(fd, FIRST_ORDINARY);
  if (copy < 0) throw new UserError(`--control-fd ${fd}: ${errors.describeError(libc.errno())}`);
  if (fd >= FIRST_ORDINARY) {
    libc.close(fd);
    return copy;
  }
  const nothing = openSync("/dev/null", "r+");
  libc.dup2(nothing, fd);
  libc.close(nothing);
  return copy;
}
