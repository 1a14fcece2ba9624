/** One UDP datagram through the kernel's own stack. */
import { createSocket } from "node:dgram";

export interface Datagram {
  readonly address: string;
  readonly port: number;
  /** Port it comes from; default: any. */
  readonly sourcePort?: number;
  readonly payload: Uint8Array;
}

/** Resolves when the kernel has taken it. */
export function sendDatagram(datagram: Datagram): Promise<void> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  return new Promise((resolve, reject) => {
    const end = (error: Error | null) => {
      socket.close();
      if (error) reject(error);
      else resolve();
    };
    socket.once("error", end);
    socket.bind(datagram.sourcePort ?? 0, () =>
      socket.send(datagram.payload, datagram.port, datagram.address, (error) => end(error)),
    );
  });
}
