/**
 * Unix sockets as the system has them: what of its C library the files beside this one call, and where Linux and Darwin
 * differ. linux-unix.ts and darwin-unix.ts make one each; everything else about streams, listeners and paths is shared.
 */
import type { SocketKind } from "./descriptor.ts";

/** Functions whose arguments are the same on both. What fails returns -1; `errno()` right after it says why. */
export interface UnixLibc {
  errno(): number;
  recv(fd: number, address: number, size: number, flags: number): number;
  send(fd: number, address: number, size: number, flags: number): number;
  /** `header`: address of a struct msghdr. */
  sendmsg(fd: number, header: number, flags: number): number;
  connect(fd: number, address: Uint8Array, size: number): number;
  bind(fd: number, address: Uint8Array, size: number): number;
  listen(fd: number, backlog: number): number;
  dup2(from: number, to: number): number;
  close(fd: number): number;
}

/** The system's error numbers, and words for any of them: its errno.ts. */
export interface UnixErrors {
  readonly EPERM: number;
  readonly ENOENT: number;
  readonly EINTR: number;
  readonly EAGAIN: number;
  readonly ENOMEM: number;
  readonly EACCES: number;
  readonly ENOTDIR: number;
  readonly EROFS: number;
  readonly EADDRINUSE: number;
  readonly ECONNABORTED: number;
  readonly ENOBUFS: number;
  readonly ECONNREFUSED: number;
  describeError(errno: number): string;
}

/** struct sockaddr_un: two bytes, then the path and its final zero byte. */
export interface UnixAddressLayout {
  /** Where the path begins. */
  readonly path: number;
  /** Bytes for the path with its zero byte. */
  readonly pathSize: number;
  /** The first two bytes, little-endian, of an address of `size` bytes. */
  head(size: number): number;
}

export interface UnixSystem {
  readonly libc: UnixLibc;
  readonly errors: UnixErrors;
  readonly layout: UnixAddressLayout;
  /** Flags for `recv` and `send`, which never wait. */
  readonly receiveFlags: number;
  readonly sendFlags: number;
  /** A folder that every user has for himself, in words. */
  readonly ownFolder: string;
  /** A new socket, close-on-exec; a stream socket does not wait either. */
  socket(type: "stream" | "datagram"): number;
  /** A client, close-on-exec. */
  accept(listener: number): number;
  /** A close-on-exec copy with the number `least` or a higher one. */
  duplicate(fd: number, least: number): number;
  /** Takes an exclusive lock on the open file without waiting. */
  lock(fd: number): boolean;
  /** What a send or a receive fails with when the other side is gone. */
  readonly gone: ReadonlySet<number>;
  /** Programs that softnet starts inherit no copy. */
  closeOnExec(fd: number): void;
  /** Makes room for `size` bytes on their way to the other side of a unix socket, as far as the system lets us. */
  growSendBuffer(fd: number, size: number): void;
  /** Lets a send to a stream whose other side is gone fail and do nothing else: no SIGPIPE. */
  silence(fd: number): void;
  /** Whether the other side of a connected stream has closed both ways. */
  hasHungUp(fd: number): boolean;
  /** Domain and type of a connected socket. Throws UserError: `option` is what the user typed, `wanted` belongs there. */
  connected(option: string, fd: number, wanted: string): SocketKind;
}
