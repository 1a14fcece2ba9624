/** Receives all frames on a link, also those for other addresses, and counts the frames that contain a secret. */
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { openPacketSocket, type RawSocket } from "../../native/linux/packet-socket.ts";

export class Eavesdropper {
  readonly #socket: RawSocket;
  #heard = 0;

  constructor(libc: LinuxLibc, link: string, secret: string) {
    this.#socket = openPacketSocket(libc, link);
    this.#socket.listen((frame) => {
      if (Buffer.from(frame.buffer, frame.byteOffset, frame.length).includes(secret)) this.#heard++;
    });
  }

  /** Frames with the secret so far. */
  get heard(): number {
    return this.#heard;
  }

  close(): void {
    this.#socket.close();
  }
}
