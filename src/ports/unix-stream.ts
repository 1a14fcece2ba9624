/** A connected unix stream socket of Linux as a ByteStream. */
import type { LinuxLibc } from "../native/linux/libc.ts";
import { linuxUnix } from "./linux-unix.ts";
import { SocketStream } from "./socket-stream.ts";

export class UnixStream extends SocketStream {
  /** Takes over the connected stream socket `fd`. */
  constructor(libc: LinuxLibc, fd: number) {
    super(linuxUnix(libc), fd);
  }
}
