/** A UDP service that returns what it gets, and a question to it through the kernel's own stack. */
import { createSocket } from "node:dgram";

/** Serves until the process ends. */
export function serveEcho(address: string, port: number): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("message", (message, from) => socket.send(message, from.port, from.address));
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, resolve);
  });
}

export interface EchoRequest {
  readonly address: string;
  readonly port: number;
  readonly text: string;
  /** Milliseconds. */
  readonly timeout: number;
}

/** What came back, or Node's code of the error; `ETIMEDOUT` when nothing came in time. */
export type EchoAnswer = { readonly text: string } | { readonly code: string };

export function askEcho({ address, port, text, timeout }: EchoRequest): Promise<EchoAnswer> {
  const socket = createSocket("udp4");
  return new Promise((resolve) => {
    const end = (answer: EchoAnswer) => {
      clearTimeout(giveUp);
      socket.close();
      resolve(answer);
    };
    const giveUp = setTimeout(end, timeout, { code: "ETIMEDOUT" });
    socket.once("error", (error: NodeJS.ErrnoException) => end({ code: String(error.code) }));
    socket.on("message", (message) => end({ text: message.toString() }));
    // A connected socket is told of an ICMP error.
    socket.connect(port, address, () => socket.send(text));
  });
}
