/** Frames of one TCP connection between the VM and REMOTE, with right checksums, and what a client says first. */
import { Duplex } from "node:stream";
import tls from "node:tls";
import { put16 } from "../../../src/wire/bytes.ts";
import { addToSum, checksumOf } from "../../../src/wire/checksum.ts";
import { pseudoHeaderSum } from "../../../src/wire/ipv4.ts";
import { REMOTE, type SegmentWords, tcpIn, tcpOut } from "../flow-support.ts";
import { ACK_FLAG, SYN } from "../segment.ts";

export const START = 0xffff_fff0;

const TCP_AT = 34;

/** The frame with the right TCP checksum. */
export function checked(frame: Uint8Array): Uint8Array {
  const length = frame.length - TCP_AT;
  put16(frame, TCP_AT + 16, 0);
  put16(frame, TCP_AT + 16, checksumOf(addToSum(pseudoHeaderSum(frame, 14, length), frame, TCP_AT, length)));
  return frame;
}

/** From the VM; `at`: which byte of the stream its data begins with. */
export const fromVm = (at: number, data: Uint8Array, words: SegmentWords = {}): Uint8Array =>
  checked(tcpOut({ flags: ACK_FLAG, sequence: (START + 1 + at) >>> 0, data, ...words }));

export const syn = (words: SegmentWords = {}): Uint8Array => checked(tcpOut({ flags: SYN, sequence: START, ...words }));

export const toVm = (words: SegmentWords = {}): Uint8Array => checked(tcpIn({ flags: ACK_FLAG, ...words }));

export const text = (characters: string): Uint8Array => new TextEncoder().encode(characters);

export { REMOTE };

/** The hello that Node's own TLS client sends for a name. */
export async function helloFor(servername: string): Promise<Uint8Array> {
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  const transport = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      resolve(new Uint8Array(chunk));
      done();
    },
  });
  const client = tls.connect({ socket: transport, servername });
  client.on("error", () => {});
  const hello = await promise;
  client.destroy();
  return hello;
}
