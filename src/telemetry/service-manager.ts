/**
 * Written by hand because libsystemd would be a library more for one datagram.
 *
 * Informs whoever started softnet as a service that it is ready (sd_notify(3)): text in one datagram to the socket that
 * NOTIFY_SOCKET names, a path or, behind "@", an abstract name. systemd's units with Type=notify or notify-reload wait for
 * it, and so can any other program.
 *
 * The variable is the caller's. So nothing is sent, and the socket not looked at, before root's rights are given up: the
 * caller's rights are what it takes to reach it. The variable is looked at once, then taken out of the environment.
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
  /** Forwards frames from now on, or again. `status` is for people, one line. */
  ready(status: string): void;
  /** Something to say for people. */
  status(text: string): void;
  /** Reads its configuration again; `ready` follows. */
  reloading(): void;
  stopping(): void;
}

/** The manager that NOTIFY_SOCKET names; where there is none, nothing is sent. To be called without borrowed rights. */
export function serviceManager(libc: LinuxLibc, environment: NodeJS.ProcessEnv): ServiceManager {
  const address = socketAddress(environment.NOTIFY_SOCKET ?? "");
  delete environment.NOTIFY_SOCKET; // softnet's children are not the service
  const send = (...lines: readonly string[]): void => {
    if (address !== undefined) sendText(libc, address, lines.join("\n"));
  };
  return {
    ready: (status) => send("READY=1", statusLine(status)),
    status: (text) => send(statusLine(text)),
    // The time is the monotonic clock's: the manager pairs the request with it.
    reloading: () => send("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => send("STOPPING=1"),
  };
}

/** Paths and names come in: a line break in one would be another assignment. */
function statusLine(text: string): string {
  return `STATUS=${text.replace(/[^ -~]/g, "?")}`;
}

/** struct sockaddr_un; undefined for what names no such socket. */
function socketAddress(name: string): Uint8Array | undefined {
  const bytes = Buffer.from(name);
  const abstract = name.startsWith("@");
  if (!(abstract || name.startsWith("/")) || bytes.length < 2 || bytes.length >= SOCKADDR_UN.pathSize) return undefined;
  if (abstract) bytes[0] = 0;
  // An abstract name ends where the address does, a path with a zero byte.
  const address = Buffer.alloc(SOCKADDR_UN.path + bytes.length + (abstract ? 0 : 1));
  address.writeUInt16LE(AF_UNIX);
  bytes.copy(address, SOCKADDR_UN.path);
  return address;
}

/** A manager that does not listen, or is full, costs the message. */
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
