/**
 * A TLS 1.3 client that offers no key with its first hello, so that the server asks for a second one, and says another name there:
 * `second-hello.ts HOST FIRST SECOND`. Prints what came of it.
 */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import net from "node:net";

const [host, first, second] = process.argv.slice(2) as [string, string, string];
const two = (value: number): number[] => [value >>> 8, value & 255];
const extension = (type: number, ...data: readonly number[]): number[] => [...two(type), ...two(data.length), ...data];

const X25519 = 0x1d;
const key = generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32);
const [random, session] = [randomBytes(32), randomBytes(32)];

function hello(name: string, shares: boolean): Uint8Array {
  const text = [...Buffer.from(name)];
  const share = [0, X25519, 0, 32, ...key];
  const extensions = [
    ...extension(0, ...two(text.length + 3), 0, ...two(text.length), ...text),
    ...extension(43, 2, 3, 4),
    ...extension(10, 0, 2, 0, X25519),
    ...extension(13, 0, 6, 4, 3, 8, 4, 4, 1),
    ...extension(51, ...(shares ? [...two(share.length), ...share] : [0, 0])),
  ];
  const body = [3, 3, ...random, 32, ...session, 0, 2, 0x13, 1, 1, 0, ...two(extensions.length), ...extensions];
  const message = [1, 0, ...two(body.length), ...body];
  return Uint8Array.from([22, 3, 1, ...two(message.length), ...message]);
}

const socket = net.connect({ host, port: 443, family: 4 });
let answers = 0;
socket.on("connect", () => socket.write(hello(first, false)));
socket.on("data", (data: Buffer) => {
  answers++;
  if (data[0] !== 22 || data[5] !== 2) {
    console.log(`refused by the server: ${data.subarray(0, 7).toString("hex")}`);
    socket.destroy();
  } else if (answers === 1) {
    console.log("a second hello is asked for");
    socket.write(hello(second, true));
  } else {
    console.log("the second hello is answered");
    socket.destroy();
  }
});
socket.on("error", (error) => console.log((error as NodeJS.ErrnoException).code));
socket.setTimeout(20_000, () => socket.destroy(new Error("nothing came")));
