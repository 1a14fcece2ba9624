/**
 * Written by hand because libsystemd would be one more library for one datagram.
 *
 * Informs the service manager that softnet is ready (sd_notify(3)): text in one datagram to the socket in
 * NOTIFY_SOCKET, a path or, after "@", an abstract name. systemd waits for it in units with Type=notify or
 * notify-reload.
 *
 * The caller controls the variable. So nothing is sent, and the path is not opened, before root's rights are given up:
 * the socket must be reachable with the caller's rights. The variable is read once and removed from the environment.
 */
import {
  AF_UNIX,
  type LinuxLibc,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCKADDR_UN,
} from "../native/linux/libc.ts";
import { allocate } from "../native/memory.ts";

export interface ServiceManager {
  /** Frames are forwarded from now on, or again. `status` is one line of text. */
  ready(status: string): void;
  /** Sends one line of status text. */
  status(text: string): void;
  /** The configuration is read again; `ready` follows. */
  reloading(): void;
  stopping(): void;
}

/** The manager in NOTIFY_SOCKET; without the variable nothing is sent. To be called without borrowed rights. */
export function serviceManager(libc: LinuxLibc, environment: NodeJS.ProcessEnv): ServiceManager {
  const address = socketAddress(environment.NOTIFY_SOCKET ?? "");
  delete environment.NOTIFY_SOCKET; // softnet's children are not the service
  const send = (...lines: readonly string[]): void => {
    if (address !== undefined) sendText(libc, address, lines.join("\n"));
  };
  return {
    ready: (status) => send("READY=1", statusLine(status)),
    status: (text) => send(statusLine(text)),
    // With the time on the monotonic clock the manager recognises the answer to its request.
    reloading: () => send("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => send("STOPPING=1"),
  };
}

/** The text contains paths and names: a line break in one would begin another assignment. */
function statusLine(text: string): string {
  return `STATUS=${text.replace(/[^ -~]/g, "?")}`;
}

/** struct sockaddr_un; undefined when the name is invalid. */
function socketAddress(name: string): Uint8Array | undefined {
  const bytes = Buffer.from(name);
  const abstract = name.startsWith("@");
  if (!(abstract || name.startsWith("/")) || bytes.length < 2 || bytes.length >= SOCKADDR_UN.pathSize) return undefined;
  if (abstract) bytes[0] = 0;
  // An abstract name ends at the address's end, a path with a zero byte.
  const address = Buffer.alloc(SOCKADDR_UN.path + bytes.length + (abstract ? 0 : 1));
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, SOCKADDR_UN.path);
  return address;
}

/** The message is lost when the manager does not listen or its socket is full. */
function sendText(libc: LinuxLibc, address: Uint8Array, text: string): void {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  if (libc.connect(fd, address, address.length) === 0) {
    const bytes = Buffer.from(text);
    const memory = allocate(bytes.length);
    memory.bytes.set(bytes);
    libc.send(fd, memory.address, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    memory.free();
  }
  libc.close(fd);
}
