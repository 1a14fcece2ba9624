/** What first bytes say, read from the whole stream each time anew: RFC 8446, RFC 6066, RFC 9112 as the page has them. */
import { uint16 } from "../bytes.ts";
import { type Name, nameOf } from "./rules.ts";

export type Read = { readonly kind: "more" | "format" | "missing" } | { readonly kind: "name"; readonly name: Name };
const MORE: Read = { kind: "more" };
const FORMAT: Read = { kind: "format" };
const MISSING: Read = { kind: "missing" };

/** A name as a hello may say it, or undefined. */
function hostName(text: string): Name | undefined {
  return hasForm(text) && !endsInNumber(text) ? nameOf(text) : undefined;
}

function hasForm(text: string): boolean {
  if (text.length === 0 || text.length > 253) return false;
  const isLabel = (label: string) => label.length < 64 && /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$/.test(label);
  return text.split(".").every(isLabel);
}

const endsInNumber = (text: string): boolean => /^\d+$/.test(text.split(".").at(-1)!);

export function readTls(bytes: Uint8Array): Read {
  let at = 0;
  const message: number[] = [];
  for (;;) {
    const wanted = message.length < 4 ? undefined : message[1]! * 65536 + message[2]! * 256 + message[3]! + 4;
    if (wanted !== undefined && message[0] !== 1) return FORMAT;
    if (wanted !== undefined && wanted > 16_384 + 4) return FORMAT;
    if (wanted !== undefined && message.length > wanted) return FORMAT;
    if (wanted !== undefined) {
      const read = readHello(new Uint8Array(message.slice(4)), wanted - 4);
      if (read.kind !== "more") return read;
    }
    const left = bytes.length - at;
    if (left > 0 && bytes[at] !== 22) return FORMAT;
    if (left > 1 && bytes[at + 1] !== 3) return FORMAT;
    if (left < 5) return MORE;
    const length = uint16(bytes, at + 3);
    if (length < 1 || length > 16_384) return FORMAT;
    const body = bytes.slice(at + 5, at + 5 + length);
    message.push(...body);
    if (body.length < length) {
      if (message.length < 4) return MORE;
      if (message[0] !== 1) return FORMAT;
      const total = message[1]! * 65536 + message[2]! * 256 + message[3]!;
      if (total > 16_384) return FORMAT;
      const read = readHello(new Uint8Array(message.slice(4)), total);
      // A whole hello with more of its record to come has something behind it.
      return read.kind === "more" ? MORE : FORMAT;
    }
    at += 5 + length;
  }
}

/** Reads what there is of a hello of `total` bytes: what cannot become right any more is malformed at once. */
function readHello(body: Uint8Array, total: number): Read {
  const lacks = (end: number): Read | undefined => (end > total ? FORMAT : end > body.length ? MORE : undefined);
  if (lacks(2) === FORMAT || (body.length >= 2 && body[0] !== 3)) return FORMAT;
  let at = 34;
  const session = lacks(at + 1) ?? (body[at]! > 32 ? FORMAT : undefined);
  if (session) return session;
  at += 1 + body[at]!;
  const suites = lacks(at + 2) ?? (uint16(body, at) < 2 || uint16(body, at) % 2 !== 0 ? FORMAT : undefined);
  if (suites) return suites;
  at += 2 + uint16(body, at);
  const methods = lacks(at + 1) ?? (body[at]! < 1 ? FORMAT : undefined);
  if (methods) return methods;
  at += 1 + body[at]!;
  if (at > total) return FORMAT;
  if (at === total) return body.length === total ? MISSING : MORE;
  const extensions = lacks(at + 2) ?? (at + 2 + uint16(body, at) !== total ? FORMAT : undefined);
  if (extensions) return extensions;
  at += 2;
  let found: Read | undefined;
  while (at < total) {
    const head = lacks(at + 4) ?? (at + 4 + uint16(body, at + 2) > total ? FORMAT : undefined);
    if (head) return head;
    const [type, length] = [uint16(body, at), uint16(body, at + 2)];
    at += 4;
    if (type === 0) {
      if (found !== undefined) return FORMAT;
      const part = lacks(at + length);
      if (part === MORE) return mayBecomeServerName(body.slice(at), length) ? MORE : FORMAT;
      if (part) return part;
      found = readServerName(body.slice(at, at + length));
      if (found.kind === "format") return FORMAT;
    }
    at += length;
  }
  return body.length < total ? MORE : (found ?? MISSING);
}

function readServerName(data: Uint8Array): Read {
  if (data.length < 5 || uint16(data, 0) !== data.length - 2 || data[2] !== 0) return FORMAT;
  if (uint16(data, 3) !== data.length - 5) return FORMAT;
  const text = String.fromCharCode(...data.slice(5));
  const name = hostName(text);
  return name === undefined ? FORMAT : { kind: "name", name };
}

/** Whether what there is of an extension of `length` bytes may become right. */
function mayBecomeServerName(data: Uint8Array, length: number): boolean {
  if (data.length >= 2 && uint16(data, 0) !== length - 2) return false;
  if (data.length >= 5 && (data[2] !== 0 || uint16(data, 3) !== length - 5 || length === 5)) return false;
  return mayBecomeName(String.fromCharCode(...data.slice(5)));
}

function mayBecomeName(text: string): boolean {
  const labels = text.split(".");
  const last = labels.pop()!;
  if (labels.join(".").length + last.length + 1 > 254 || last.length > 63) return false;
  if (!/^(?:[A-Za-z0-9_][A-Za-z0-9_-]*)?$/.test(last)) return false;
  return labels.every((label) => label.length < 64 && /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$/.test(label));
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]";
const TARGET = "[\\x21-\\x7e\\x80-\\xff]";
const VALUE = "[^\\x00-\\x08\\x0a-\\x1f\\x7f]";
const REQUEST = new RegExp(`^(${TOKEN}+) (${TARGET}+) HTTP/(\\d)\\.\\d$`);
/** Begins as a request whose method, target or version is not for a host with a name. */
const FOREIGN = new RegExp(
  `^(?:CONNECT |${TOKEN}+ (?![/*])(?:${TOKEN}|[\\x80-\\xff])|${TOKEN}+ ${TARGET}+ HTTP/[02-9])`,
);
const NO_TARGET = new RegExp(`^${TOKEN}+ (?![/*]|${TOKEN}|[\\x80-\\xff])[^]`);
const FIELD = new RegExp(`^(${TOKEN}+):(${VALUE}*)$`);
/** What a line that has not ended yet may be. */
const REQUEST_BEGUN = new RegExp(
  `^(?:${TOKEN}*|${TOKEN}+ ${TARGET}*|${TOKEN}+ ${TARGET}+ (?:H|HT|HTT|HTTP|HTTP/|HTTP/\\d|HTTP/\\d\\.|HTTP/\\d\\.\\d\r?)?)$`,
);
const FIELD_BEGUN = new RegExp(`^(?:\r|${TOKEN}*|${TOKEN}+:${VALUE}*\r?)$`);

export function readHttp(bytes: Uint8Array): Read {
  const text = String.fromCharCode(...bytes);
  const end = text.indexOf("\r\n\r\n");
  const lines = (end < 0 ? text : text.slice(0, end)).split("\r\n");
  const begun = end < 0 ? lines.pop()! : undefined;
  const requests = lines.slice(0, 1).map((line) => REQUEST.exec(line));
  const fields = lines.slice(1).map((line) => FIELD.exec(line));
  // Said as soon as it is read, whatever follows.
  const line = lines[0] ?? begun!;
  if (FOREIGN.test(line)) return MISSING;
  if (requests.includes(null) || NO_TARGET.test(line)) return FORMAT;
  const hosts = fields.filter((parts) => parts?.[1]?.toLowerCase() === "host").map((parts) => parts![2]!);
  if (fields.includes(null) || hosts.length > 1) return FORMAT;
  const host = hosts.length === 0 ? MISSING : readHost(hosts[0]!);
  if (host.kind === "format") return FORMAT;
  if (begun === undefined) return host;
  if (!(lines.length === 0 ? REQUEST_BEGUN : FIELD_BEGUN).test(begun)) return FORMAT;
  const value = lines.length === 0 ? undefined : /^host:(.*)$/is.exec(begun)?.[1];
  if (value === undefined) return MORE;
  const isWhole = value.endsWith("\r");
  const mayBe = isWhole ? readHost(value.slice(0, -1)).kind !== "format" : mayBecomeHost(value);
  return mayBe && hosts.length === 0 ? MORE : FORMAT;
}

/** Whether what there is of Host's value may become right. */
function mayBecomeHost(value: string): boolean {
  const text = value.replace(/^[ \t]+/, "");
  if (text.startsWith("[")) return /^\[[^\] \t]*(?:\](?::\d*)?[ \t]*)?$/.test(text);
  return /[: \t]/.test(text) ? readHost(text).kind !== "format" : mayBecomeName(text);
}

function readHost(whole: string): Read {
  const value = whole.replace(/^[ \t]+|[ \t]+$/g, "");
  if (value === "") return MISSING;
  const parts = /^(\[[^\] \t]*\]|[^:[\]]+)(?::(\d*))?$/.exec(value);
  if (parts === null || Number(parts[2] ?? 0) > 65_535) return FORMAT;
  const host = parts[1]!;
  const text = host.replace(/\.$/, "");
  if (host.startsWith("[") || (hasForm(text) && endsInNumber(text))) return MISSING;
  const name = hostName(text);
  return name === undefined ? FORMAT : { kind: "name", name };
}
