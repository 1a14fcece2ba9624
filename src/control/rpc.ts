/**
 * JSON-RPC 2.0 as softnet speaks it: one request or answer a line. A line becomes a request or an RpcError, whose answer
 * carries the id as far as it could be read. Stricter than the standard where being lenient would hide a mistake: keys
 * that are not known or come twice are refused, an id is an unsigned 64-bit integer or a string of at most 256 bytes, a
 * request without one is refused (softnet takes no notifications), and so are batches (arrays).
 */
import { type Json, JsonArray, JsonError, JsonNumber, JsonObject, readJson } from "./json.ts";

/** JSON-RPC 2.0, section 5.1; what is from -32000 to -32099 is softnet's own. */
export const PARSE_ERROR = -32_700;
export const INVALID_REQUEST = -32_600;
export const METHOD_NOT_FOUND = -32_601;
export const INVALID_PARAMS = -32_602;
export const INTERNAL_ERROR = -32_603;
/** A socket that has as many clients as it takes. */
export const TOO_MANY_CLIENTS = -32_000;
/** A desiredRevision that is older than the one in force. */
export const STALE_REVISION = -32_001;
/** A policy that fits only another isolation than the one that was decided when softnet started. */
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

/** Characters of an error's message: it may name a value that is a mebibyte long. */
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
