/** Where the fields of a frame are that is cut: of IPv4 behind a header without options, of IPv6 without extension headers. */

export interface Layout {
  readonly version: 4 | 6;
  readonly type: number;
  /** Where TCP and UDP begin. */
  readonly transport: number;
  /** The byte with the protocol. */
  readonly protocol: number;
  /** The length's two bytes, and where the bytes begin that it counts. */
  readonly length: number;
  readonly counted: number;
  /** The addresses, as far as the transport header. */
  readonly addresses: number;
  /** gso_type of TCP. */
  readonly tcp: number;
}

export const IPV4: Layout = {
  version: 4,
  type: 0x0800,
  transport: 34,
  protocol: 23,
  length: 16,
  counted: 14,
  addresses: 26,
  tcp: 1,
};

export const IPV6: Layout = {
  version: 6,
  type: 0x86dd,
  transport: 54,
  protocol: 20,
  length: 18,
  counted: 54,
  addresses: 22,
  tcp: 4,
};

/** By the frame's type; what is no IPv6 is laid out as IPv4. */
export const layoutOf = (frame: Uint8Array): Layout => (frame[12] === 0x86 && frame[13] === 0xdd ? IPV6 : IPV4);
