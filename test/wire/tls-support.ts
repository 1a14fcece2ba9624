/** Client hellos for tests: made part by part, in records of any size, and read by an independent program's parser. */
import { Readable } from "node:stream";
import { getExtensionData, readTlsClientHello } from "read-tls-client-hello";
import { formatDomainName } from "../../src/wire/domain-name.ts";
import { HELLO_MORE, HELLO_NAMED, TlsHello } from "../../src/wire/tls-hello.ts";

export const bytes = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");

/** `data` behind its length, of so many bytes. */
export function sized(lengthBytes: number, ...data: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(data);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(content.length, 0, lengthBytes);
  return Buffer.concat([length, content]);
}

export function extension(type: number, data: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(type >> 8, type & 0xff), sized(2, data)]);
}

export const nameEntry = (name: string, type = 0): Buffer =>
  Buffer.concat([Buffer.of(type), sized(2, Buffer.from(name, "latin1"))]);

export const serverName = (...names: readonly string[]): Buffer =>
  extension(0, sized(2, ...names.map((name) => nameEntry(name))));

/** GREASE (RFC 8701), and an encrypted_client_hello (RFC 9849 5) that is GREASE too. */
export const GREASE = extension(0x1a1a, Buffer.of());
export const ECH = extension(
  0xfe0d,
  Buffer.concat([bytes("00 0001 0001 2a"), sized(2, Buffer.alloc(32, 7)), sized(2, Buffer.alloc(208, 9))]),
);

/** The hello of RFC 8448 3, in its record. */
export const RFC_8448 = bytes(`
  16 03 01 00 c4 01 00 00 c0 03 03 cb 34 ec b1 e7 81 63 ba 1c 38 c6 da cb 19 6a 6d ff a2 1a 8d 99 12 ec 18 a2 ef 62 83 02
  4d ec e7 00 00 06 13 01 13 03 13 02 01 00 00 91 00 00 00 0b 00 09 00 00 06 73 65 72 76 65 72 ff 01 00 01 00 00 0a 00 14
  00 12 00 1d 00 17 00 18 00 19 01 00 01 01 01 02 01 03 01 04 00 23 00 00 00 33 00 26 00 24 00 1d 00 20 99 38 1d e5 60 e4
  bd 43 d2 3d 8e 43 5a 7d ba fe b3 c0 6e 51 c1 3c ae 4d 54 13 69 1e 52 9a af 2c 00 2b 00 03 02 03 04 00 0d 00 20 00 1e 04
  03 05 03 06 03 02 03 08 04 08 05 08 06 04 01 05 01 06 01 02 01 04 02 05 02 06 02 02 02 00 2d 00 02 01 01 00 1c 00 02 40
  01`);

export interface HelloParts {
  type?: number;
  version?: string;
  sessionId?: Uint8Array;
  suites?: Uint8Array;
  compressions?: Uint8Array;
  /** null: the hello ends before them. */
  extensions?: Uint8Array | null;
}

/** The handshake message. */
export function hello(parts: HelloParts): Buffer {
  const body = [
    bytes(parts.version ?? "0303"),
    Buffer.alloc(32, 0xab),
    sized(1, parts.sessionId ?? Buffer.alloc(32, 0xcd)),
    sized(2, parts.suites ?? bytes("1301 1302 1303")),
    sized(1, parts.compressions ?? Buffer.of(0)),
  ];
  if (parts.extensions !== null) body.push(sized(2, parts.extensions ?? Buffer.of()));
  return Buffer.concat([Buffer.of(parts.type ?? 1), sized(3, ...body)]);
}

/** Records of at most `size` bytes each. */
export function records(message: Uint8Array, size = 16_384, version = "0301"): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    parts.push(Buffer.of(22), bytes(version), sized(2, message.subarray(at, at + size)));
  }
  return Buffer.concat(parts);
}

/** The handshake bytes in a stream of whole records. */
export function handshakeOf(stream: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at + 5 <= stream.length && stream[at] === 22; at += 5 + stream.readUInt16BE(at + 3)) {
    parts.push(stream.subarray(at + 5, at + 5 + stream.readUInt16BE(at + 3)));
  }
  return Buffer.concat(parts);
}

/**
 * What a reader says of a stream that comes in chunks of these sizes, the last of them again and again. What is around a
 * chunk in memory is of no use to it.
 */
export function readHello(stream: Uint8Array, sizes: readonly number[] = [stream.length]): string {
  const reader = new TlsHello();
  reader.start();
  return feedHello(reader, stream, sizes);
}

export function feedHello(reader: TlsHello, stream: Uint8Array, sizes: readonly number[]): string {
  let at = 0;
  for (let index = 0; at < stream.length; index++) {
    const size = Math.min(Math.max(1, sizes[Math.min(index, sizes.length - 1)]!), stream.length - at);
    const memory = Buffer.concat([Buffer.alloc(3, 22), stream.subarray(at, at + size), Buffer.alloc(40, 22)]);
    reader.feed(memory, 3, size);
    at += size;
  }
  if (reader.state === HELLO_NAMED) return formatDomainName(reader.host.labels);
  return reader.state === HELLO_MORE ? "more" : reader.state === 2 ? "nameless" : "malformed";
}

/** What read-tls-client-hello finds in the first whole message; it reads one record, so the message is put into one. */
export async function oracleName(stream: Buffer): Promise<string | undefined> {
  const handshake = handshakeOf(stream);
  const length = handshake.readUIntBE(1, 3);
  const message = await readTlsClientHello(
    Readable.from(records(handshake.subarray(0, 4 + length)), { objectMode: false }),
  );
  const names = message.extensions.filter(({ id }) => id === 0);
  return names.length > 1 ? "twice" : getExtensionData(message, "server_name")?.serverName;
}
