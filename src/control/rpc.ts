/**
 * softnet's JSON-RPC 2.0: one request or answer a line. A line is read as a request or an RpcError, whose answer has
 * the request's id if that could be read. Stricter than the standard, so that mistakes are noticed: unknown and
 * duplicate keys are refused, and so are requests without an id (notifications) and batches (arrays). An id is an
 * unsigned 64-bit integer or a string of at most 256 bytes.
 */
import { type Json, JsonArray, JsonError, JsonNumber, JsonObject, readJson } from "./json.ts";

/** JSON-RPC 2.0, section 5.1; -32000 to -32099 are softnet's own. */
export const PARSE_ERROR = -32_700;
export const INVALID_REQUEST = -32_600;
export const METHOD_NOT_FOUND = -32_601;
export const INVALID_PARAMS = -32_602;
export const INTERNAL_ERROR = -32_603;
/** The socket has as many clients as allowed. */
export const TOO_MANY_CLIENTS = -32_000;
/** A desiredRevision that is older than the one in force. */
export const STALE_REVISION = -32_001;
/** A policy that would have decided the VM's isolation otherwise (live-policy.ts). */
export const ISOLATION_DECIDED = -32_002;

export interface Request {
  /** As JSON. */
  readonly id: string;
  readonly method: string;
  /** Undefined when it was absent or null. */
  readonly params: Json | undefined;
}

export class RpcError extends Error {
  readonly code: number;
  /** As JSON. */
  readonly id: string;

  constructor(code: number, message: string, id = "null") {
    super(message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE)}…` : message);
    this.code = code;
    this.id = id;
  }
}

/** Characters of an error's message, which may quote a value as long as a mebibyte. */
const LONGEST_MESSAGE = 400;
const LONGEST_ID = 256;
const LARGEST_INTEGER = 2n ** 64n - 1n;

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads one line, without its newline. Throws RpcError. */
export function readRequest(line: Uint8Array): Request {
  const message = readLine(line);
  if (message instanceof JsonArray) throw new RpcError(INVALID_REQUEST, "batches are not taken: one request a line");
  if (!(message instanceof JsonObject)) throw new RpcError(INVALID_REQUEST, "not an object");
  const id = readId(message.members.get("id"));
  const refuse = (why: string): never => {
    throw new RpcError(INVALID_REQUEST, why, id);
  };
  if (message.duplicate !== undefined) refuse(`the key ${JSON.stringify(message.duplicate)} comes twice`);
  const unknown = surplusKey(message, ["jsonrpc", "id", "method", "params"]);
  if (unknown !== undefined) refuse(`the key ${JSON.stringify(unknown)} is not known`);
  if (message.members.get("jsonrpc") !== "2.0") refuse('jsonrpc is not "2.0"');
  const method = message.members.get("method");
  if (typeof method !== "string") return refuse("method is not a string");
  return { id, method, params: message.members.get("params") ?? undefined };
}

export function resultLine(id: string, result: string): string {
  return `{"jsonrpc":"2.0","id":${id},"result":${result}}\n`;
}

export function errorLine({ id, code, message }: RpcError): string {
  return `{"jsonrpc":"2.0","id":${id},"error":{"code":${code},"message":${JSON.stringify(message)}}}\n`;
}

/** A key that is not one of these. */
export function surplusKey(object: JsonObject, known: readonly string[]): string | undefined {
  return [...object.members.keys()].find((key) => !known.includes(key)) ?? object.surplus;
}

/** The digits of an unsigned 64-bit integer; undefined for any other value. */
export function unsigned64(value: Json): string | undefined {
  if (!(value instanceof JsonNumber) || !/^(0|[1-9]\d{0,19})$/.test(value.text)) return undefined;
  return BigInt(value.text) <= LARGEST_INTEGER ? value.text : undefined;
}

function readLine(line: Uint8Array): Json {
  let text: string;
  try {
    text = UTF8.decode(line);
  } catch {
    throw new RpcError(PARSE_ERROR, "not UTF-8");
  }
  try {
    return readJson(text);
  } catch (error) {
    if (error instanceof JsonError) throw new RpcError(PARSE_ERROR, `not JSON: ${error.message}`);
    throw error;
  }
}

function readId(id: Json | undefined): string {
  if (id === undefined) throw new RpcError(INVALID_REQUEST, "there is no id");
  if (typeof id === "string" && Buffer.byteLength(id) <= LONGEST_ID) return JSON.stringify(id);
  const digits = unsigned64(id);
  if (digits !== undefined) return digits;
  throw new RpcError(INVALID_REQUEST, `id is neither an unsigned 64-bit integer nor a string of ${LONGEST_ID} bytes`);
}
