/** The virtio-net header of a frame, as an ordinary sender of either family has it but for what a case says. */

export interface OffloadHeader {
  readonly flags?: number;
  readonly type?: number;
  readonly length?: number;
  readonly size?: number;
  readonly start?: number;
  readonly offset?: number;
}

export const PARTIAL = { flags: 1 };
export const VERIFIED = { flags: 2 };

/** Where the protocol's number and the transport header are, and the type of TCP's segments. */
export const IPV4 = { protocol: 23, transport: 34, segments: 1 } as const;
export const IPV6 = { protocol: 20, transport: 54, segments: 4 } as const;
const TCP = 6;
const UDP_SEGMENTS = 5;

export function offloadHeader(
  frame: Uint8Array,
  given: OffloadHeader,
  { protocol, transport, segments }: typeof IPV4 | typeof IPV6,
): Uint8Array {
  const bytes = new Uint8Array(10);
  const view = new DataView(bytes.buffer);
  const tcp = frame[protocol] === TCP;
  const { flags = 0, size = 0, type = size === 0 ? 0 : tcp ? segments : UDP_SEGMENTS } = given;
  view.setUint8(0, flags);
  view.setUint8(1, type);
  view.setUint16(2, given.length ?? 0, true);
  view.setUint16(4, size, true);
  if ((flags & 1) === 0) return bytes;
  view.setUint16(6, given.start ?? transport, true);
  view.setUint16(8, given.offset ?? (tcp ? 16 : 6), true);
  return bytes;
}
