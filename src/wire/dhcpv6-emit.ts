/** DHCPv6 messages (RFC 8415 8, 21.1) put together from their options; dhcpv6.ts reads them. */
import { put16, put32 } from "./bytes.ts";

const HEADER = 4;
const OPTION_HEADER = 4;

/** `xid`: 24 bits. */
export function emitDhcpv6(type: number, xid: number, options: readonly Uint8Array[]): Uint8Array {
  const header = new Uint8Array(HEADER);
  put32(header, 0, type * 2 ** 24 + xid);
  return joined([header, ...options]);
}

/** An option of these parts. */
export function dhcpv6Option(code: number, ...value: readonly Uint8Array[]): Uint8Array {
  const header = new Uint8Array(OPTION_HEADER);
  put16(header, 0, code);
  put16(
    header,
    2,
    value.reduce((sum, { length }) => sum + length, 0),
  );
  return joined([header, ...value]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
