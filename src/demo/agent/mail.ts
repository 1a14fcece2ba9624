/** A server that pushes data: a client that sends a word over UDP receives numbered letters with that word. */
import { createSocket } from "node:dgram";

const INTERVAL = 25; // milliseconds between two letters
export const LETTERS = 20;

/** Serves until the process ends. */
export function serveMail(address: string, port: number): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("message", (message, { address: reader, port: readerPort }) => {
    let letter = 0;
    const timer = setInterval(() => {
      socket.send(`letter ${++letter}: ${message}`, readerPort, reader);
      if (letter === LETTERS) clearInterval(timer);
    }, INTERVAL);
  });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, address, resolve);
  });
}

export interface Mailbox {
  readonly address: string;
  readonly port: number;
  readonly word: string;
}

/** Asks for letters and returns how many came; waits as long as all of them take, and a little. */
export function readMail(mailbox: Mailbox): Promise<number> {
  const socket = createSocket("udp4");
  let letters = 0;
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(giveUp);
      socket.close();
      resolve(letters);
    };
    const giveUp = setTimeout(end, INTERVAL * LETTERS + 300);
    socket.on("error", () => {}); // an ICMP error that the server is unreachable: then no letters arrive
    socket.on("message", () => {
      if (++letters === LETTERS) end();
    });
    socket.send(mailbox.word, mailbox.port, mailbox.address);
  });
}
