/** Two unix sockets that are connected with each other, as Tart makes them. */
import koffi from "koffi";
import { AF_UNIX, type DarwinLibc, F_SETFD, FD_CLOEXEC } from "../../src/native/darwin/libc.ts";

/** Close-on-exec: a child gets what it is given. `path` is the library's, `type` SOCK_STREAM or SOCK_DGRAM. */
export function socketPair(libc: DarwinLibc, path: string, type: number): readonly [number, number] {
  const socketpair = koffi.load(path).func("int socketpair(int domain, int type, int protocol, _Out_ int *ends)");
  const ends: [number, number] = [-1, -1];
  if (socketpair(AF_UNIX, type, 0, ends) < 0) throw new Error(`socketpair: error ${libc.errno()}`);
  for (const fd of ends) libc.fcntl(fd, F_SETFD, "int", FD_CLOEXEC);
  return ends;
}
