/**
 * IPv4 and MAC addresses as numbers and as text. An IPv4 address is an unsigned 32-bit number in host order; a MAC
 * address is an unsigned 48-bit number (exact in a JavaScript number), so that both compare as numbers.
 */

/** 255.255.255.255, the limited broadcast address (RFC 919). */
export const LIMITED_BROADCAST = 0xffffffff;

/** ff:ff:ff:ff:ff:ff */
export const BROADCAST_MAC = 0xffffffffffff;

/** No MAC address: outside the 48 bits of any. */
export const UNKNOWN_MAC = -1;

/** Parses dotted decimal with exactly four parts and no leading zeros; undefined for anything else. */
export function parseIPv4(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  let address = 0;
  for (let part = 1; part <= 4; part++) {
    const digits = match[part]!;
    const value = Number(digits);
    if (value > 255 || (digits.length > 1 && digits.startsWith("0"))) return undefined;
    address = address * 256 + value;
  }
  return address;
}

export function formatIPv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** Whether an address could be a host's at all: not in 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/4 or 240.0.0.0/4. */
export function isHostAddress(address: number): boolean {
  const firstByte = address >>> 24;
  return firstByte !== 0 && firstByte !== 127 && firstByte < 224;
}

/** Parses six hexadecimal bytes, one or two digits each, with `:` or `-` between; undefined for anything else. */
export function parseMac(text: string): number | undefined {
  if (!/^[0-9a-f]{1,2}([:-])[0-9a-f]{1,2}(\1[0-9a-f]{1,2}){4}$/i.test(text)) return undefined;
  return text.split(/[:-]/).reduce((mac, part) => mac * 256 + Number.parseInt(part, 16), 0);
}

export function formatMac(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, "0")
    .replace(/..(?=.)/g, "$&:");
}

/** The 48 bits at `at`. */
export function getMac(bytes: Uint8Array, at: number): number {
  const low = ((bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!) >>> 0;
  return ((bytes[at]! << 8) | bytes[at + 1]!) * 0x100000000 + low;
}

export function putMac(bytes: Uint8Array, at: number, mac: number): void {
  const high = Math.floor(mac / 0x100000000);
  bytes[at] = high >>> 8;
  bytes[at + 1] = high;
  bytes[at + 2] = mac >>> 24;
  bytes[at + 3] = mac >>> 16;
  bytes[at + 4] = mac >>> 8;
  bytes[at + 5] = mac;
}

/** Whether the group bit is set: multicast and broadcast (IEEE 802). */
export function isGroupMac(mac: number): boolean {
  return (Math.floor(mac / 0x10000000000) & 1) === 1;
}
