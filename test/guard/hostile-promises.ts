import type { GuardOptions } from "../../src/index.ts";
import { formatIPv4 } from "../../src/wire/address.ts";
import type { Direction } from "./hostile-traffic.ts";
import { mac, VM } from "./support.ts";

export const word = (frame: Uint8Array, at: number) =>
  ((frame[at]! << 24) | (frame[at + 1]! << 16) | (frame[at + 2]! << 8) | frame[at + 3]!) >>> 0;
export const half = (frame: Uint8Array, at: number) => (frame[at]! << 8) | frame[at + 1]!;
const VM_BYTES = mac(VM);
export const isVm = (frame: Uint8Array, at: number) => VM_BYTES.every((value, index) => frame[at + index] === value);

/**
 * The first broken promise about a frame that passed, if any; `own` is the address bound at that moment, `last` the one
 * bound last.
 */
export function broken(
  direction: Direction,
  frame: Uint8Array,
  own: number | undefined,
  last: number | undefined,
): string | undefined {
  if (frame.length < 14 || frame.length > 1514) return "length";
  const type = half(frame, 12);
  if (type !== 0x0800 && type !== 0x0806) return "type";
  if (frame[0] === 0x01 && frame[1] === 0x80 && frame[2] === 0xc2) return "reserved destination";
  if (direction === "ingress") {
    if (isVm(frame, 6) || (frame[6]! & 1) === 1) return "source MAC";
    if (!isVm(frame, 0) && (frame[0]! & 1) === 0) return "destination MAC";
    if (type === 0x0806) return half(frame, 20) === 1 && word(frame, 28) === own ? "own address claimed" : undefined;
    if (!isSound(frame)) return "IPv4 form";
    const toClient = frame[23] === 17 && (half(frame, 20) & 0x1fff) === 0 && half(frame, 36) === 68;
    return toClient && !isVm(frame, 42 + 28) ? "DHCP for another" : undefined;
  }
  if (!isVm(frame, 6)) return "source MAC";
  if (type === 0x0806) {
    const sender = word(frame, 28);
    if (!isVm(frame, 22)) return "sender hardware address";
    if (sender === 0) return half(frame, 20) === 1 ? undefined : "reply from 0.0.0.0";
    // Only the way to the server, with the address that the VM had: tested one by one in renewals.test.ts.
    if (own === undefined && sender === last) return undefined;
    return sender === own ? undefined : "sender protocol address";
  }
  if (!isSound(frame)) return "IPv4 form";
  const source = word(frame, 26);
  const destination = word(frame, 30);
  if (source === own) return destination >>> 24 === 127 || destination >>> 24 === 0 ? "loopback" : undefined;
  if (frame[23] !== 17 || (half(frame, 20) & 0x3fff) !== 0) return "IPv4 source";
  if (source !== 0) return isRenewalOf(frame, source) ? undefined : "IPv4 source";
  return half(frame, 34) === 68 && half(frame, 36) === 67 && destination === 0xffffffff
    ? undefined
    : "0.0.0.0 beside DHCP";
}

/** A DHCPREQUEST 68 → 67 in the VM's name with this ciaddr. */
function isRenewalOf(frame: Uint8Array, address: number): boolean {
  if (half(frame, 34) !== 68 || half(frame, 36) !== 67 || frame[42] !== 1 || !isVm(frame, 42 + 28)) return false;
  return word(frame, 42 + 12) === address && frame.indexOf(53, 42 + 240) > 0;
}

export function isSound(frame: Uint8Array): boolean {
  return (
    frame[14] === 0x45 &&
    half(frame, 16) >= 20 &&
    14 + half(frame, 16) <= frame.length &&
    (half(frame, 20) & 0x1fff) !== 1
  );
}

export function isAddressOfAVm(address: number, options: GuardOptions): boolean {
  const first = address >>> 24;
  if (options.heldElsewhere?.(address)) return false;
  return first !== 0 && first !== 127 && first < 224 && formatIPv4(address) !== options.gateway;
}
