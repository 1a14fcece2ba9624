/** DNS (RFC 1035): a server that knows some names, and a question to it through Node's own resolver. */
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { isIPv6 } from "node:net";
import { parseIPv4 } from "../../wire/address.ts";
import { put32 } from "../../wire/bytes.ts";
import { parseIPv6, putIPv6 } from "../../wire/ipv6-address.ts";

export interface DnsPlan {
  readonly address: string;
  /** Each name with its addresses, of both families. */
  readonly names: Readonly<Record<string, readonly string[]>>;
}

export interface NameQuestion {
  readonly server: string;
  readonly name: string;
  readonly family?: 4 | 6;
  /** Milliseconds for an answer to each of two tries; default: 1,000. */
  readonly timeout?: number;
}

/** What was found, or why nothing was: Node's code of the error, `ENOTFOUND`. */
export type NameAnswer = { readonly addresses: readonly string[]; readonly code?: string };

const PORT = 53;
const HEADER = 12;
const [TYPE_A, TYPE_AAAA] = [1, 28] as const;

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

/** Asks twice at most. */
export async function resolveName({ server, name, family = 4, timeout = 1000 }: NameQuestion): Promise<NameAnswer> {
  const resolver = new Resolver({ timeout, tries: 2 });
  resolver.setServers([server]);
  try {
    return { addresses: await (family === 4 ? resolver.resolve4(name) : resolver.resolve6(name)) };
  } catch (error) {
    return { addresses: [], code: String((error as NodeJS.ErrnoException).code) };
  }
}

/** A reply with the question and, for a known name, its addresses of the type that was asked for. */
function answer(query: Buffer, plan: DnsPlan): Buffer | undefined {
  if (query.length < HEADER + 5) return undefined;
  const labels: string[] = [];
  let at = HEADER;
  for (let length = query[at]!; length > 0 && length < 64; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  if (query.length < at + 5) return undefined;
  const question = query.subarray(HEADER, at + 5);
  const type = query.readUInt16BE(at + 1);
  const name = labels.join(".").toLowerCase();
  const known = Object.hasOwn(plan.names, name) ? plan.names[name] : undefined;
  const records = (known ?? []).filter((address) => type === (isIPv6(address) ? TYPE_AAAA : TYPE_A)).map(recordOf);
  const flags = known ? [0x81, 0x80] : [0x81, 0x83]; // recursion available; 3 = no such name
  const header = Buffer.from([query[0]!, query[1]!, ...flags, 0, 1, 0, records.length, 0, 0, 0, 0]);
  return Buffer.concat([header, question, ...records]);
}

/** The name as a pointer to the question, its type, class IN, 60 seconds, and the address. */
function recordOf(text: string): Buffer {
  const data = new Uint8Array(isIPv6(text) ? 16 : 4);
  if (isIPv6(text)) putIPv6(data, 0, parseIPv6(text)!);
  else put32(data, 0, parseIPv4(text)!);
  const type = isIPv6(text) ? TYPE_AAAA : TYPE_A;
  return Buffer.from([0xc0, HEADER, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data]);
}
