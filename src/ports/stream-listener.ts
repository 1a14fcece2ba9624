/** A unix stream socket of Linux with a path of its own, for several clients. */
import type { LinuxLibc } from "../native/linux/libc.ts";
import type { ByteStream } from "./byte-stream.ts";
import { linuxUnix } from "./linux-unix.ts";
import { SocketListener } from "./socket-listener.ts";

export class StreamListener extends SocketListener {
  /** Makes the path with the rights that the process has now. `option` is what the user typed. Throws UserError. */
  constructor(libc: LinuxLibc, option: string, path: string, onClient: (stream: ByteStream) => void) {
    super(linuxUnix(libc), option, path, onClient);
  }
}
