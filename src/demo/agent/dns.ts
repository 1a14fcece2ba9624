/** DNS (RFC 1035): a server that knows one name, and a question to it through Node's own resolver. */
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";

export interface DnsPlan {
  readonly address: string;
  readonly name: string;
  /** What the name stands for. */
  readonly target: string;
}

const PORT = 53;
const HEADER = 12;

/** Serves until the process ends. */
export function serveDns(plan: DnsPlan): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const reply = answer(query, plan);
    if (reply) socket.send(reply, from.port, from.address);
  });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(PORT, plan.address, resolve);
  });
}

/** The addresses that `server` returns for a name; none when it does not reply within a second, twice. */
export async function resolveName(server: string, name: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: 1000, tries: 2 });
  resolver.setServers([server]);
  return await resolver.resolve4(name).catch(() => []);
}

/** A reply with the question and, for the known name, one A record. */
function answer(query: Buffer, plan: DnsPlan): Buffer | undefined {
  if (query.length < HEADER + 5) return undefined;
  const labels: string[] = [];
  let at = HEADER;
  for (let length = query[at]!; length > 0 && length < 64; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  const question = query.subarray(HEADER, at + 5);
  const known = labels.join(".").toLowerCase() === plan.name;
  const flags = known ? [0x81, 0x80] : [0x81, 0x83]; // recursion available; 3 = no such name
  const header = Buffer.from([query[0]!, query[1]!, ...flags, 0, 1, 0, known ? 1 : 0, 0, 0, 0, 0]);
  // The name as a pointer to the question, type A, class IN, 60 seconds, 4 bytes.
  const record = Buffer.from([0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...plan.target.split(".").map(Number)]);
  return Buffer.concat(known ? [header, question, record] : [header, question]);
}
