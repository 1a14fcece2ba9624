/**
 * The second guard's reading of the virtio-net header (virtio 1.2, 5.1.6), from docs/guard.md and docs/guard-ipv6.md: what a
 * sender has left to do, which checksums are completed before a frame is judged, and what must hold for the rest.
 */
import { be16, be32, join } from "./build.ts";
import { onesComplementSum, PASS, uint16 } from "./bytes.ts";
import type { Packet } from "./ipv4.ts";
import type { Packet6 } from "./ipv6/form.ts";
import type { State6 } from "./ipv6/state.ts";
import type { State } from "./state.ts";

/** What is left to do; `size` is gso_size, 0 where nothing is to be cut. */
export interface Left {
  readonly kind: "complete" | "partial" | "segmented" | "malformed";
  readonly protocol: number;
  /** Of the packet that the kind is for. */
  readonly version: 4 | 6;
  readonly size: number;
  /** Somebody says that the checksum of what is to be cut is right (flag 2). */
  readonly verified: boolean;
  /** The checksum that is to be completed at another place than TCP's and UDP's. */
  readonly elsewhere?: { readonly start: number; readonly field: number };
}

const TCP = 6;
const UDP = 17;
/** Where TCP and UDP begin. */
const TRANSPORT = { 4: 34, 6: 54 } as const;

const left = (kind: Left["kind"], version: 4 | 6 = 4, protocol = 0, size = 0, verified = false): Left => ({
  kind,
  protocol,
  version,
  size,
  verified,
});
export const COMPLETE = left("complete");
const MALFORMED = left("malformed");

/** The kind that the 10 bytes say of a frame. */
export function readHeader(header: Uint8Array, frame: Uint8Array): Left {
  const little = (at: number) => header[at]! + header[at + 1]! * 256;
  const [flags, type] = [header[0]!, header[1]!];
  const size = little(4);
  const start = little(6);
  const offset = little(8);
  const place = `${start};${offset}`;
  const tcpSegments = type === 1 || type === 129;
  const tcp6Segments = type === 4 || type === 132;
  const isIpv6 = frame.length >= 14 && uint16(frame, 12) === 0x86dd;

  if ((flags === 0 || flags === 2) && type === 0) return COMPLETE;
  if (flags === 1 && type === 0 && place === "34;16") return left("partial", 4, TCP);
  if (flags === 1 && type === 0 && place === "34;6") return left("partial", 4, UDP);
  if (flags === 1 && tcpSegments && place === "34;16" && size !== 0) return left("segmented", 4, TCP, size);
  if (flags === 1 && type === 5 && place === "34;6" && size !== 0) return left("segmented", 4, UDP, size);
  if (flags === 2 && tcpSegments && size !== 0) return left("segmented", 4, TCP, size, true);
  if (flags === 1 && tcp6Segments && place === "54;16" && size !== 0) return left("segmented", 6, TCP, size);
  if (flags === 1 && type === 5 && place === "54;6" && size !== 0) return left("segmented", 6, UDP, size);
  if (flags === 2 && tcp6Segments && size !== 0) return left("segmented", 6, TCP, size, true);
  if (flags === 1 && type === 0 && place === "54;16" && isIpv6) return left("partial", 6, TCP);
  if (flags === 1 && type === 0 && place === "54;6" && isIpv6) return left("partial", 6, UDP);
  if (flags === 1 && type === 0 && start >= 34 && start + offset + 2 <= frame.length) {
    return { ...COMPLETE, elsewhere: { start, field: start + offset } };
  }
  return MALFORMED;
}

/** A frame as it is judged, in a copy of its own. */
export interface Judged {
  readonly frame: Uint8Array;
  readonly left: Left;
}

/** Completes what is completed before anything is judged. */
export function complete(state: State, given: Uint8Array, header: Uint8Array): Judged {
  const frame = given.slice();
  const said = readHeader(header, frame);
  if (said.elsewhere !== undefined) {
    state.reach("a checksum elsewhere is completed");
    completeAt(frame, said.elsewhere.start, said.elsewhere.field);
    return { frame, left: COMPLETE };
  }
  const { kind, protocol, version } = said;
  const stays = version === 6 && state.ipv6?.fault("a DHCPv6 checksum stays partial");
  if (kind === "partial" && protocol === UDP && (version === 4 ? isDhcp(frame) : isDhcp6(frame)) && !stays) {
    state.reach(`a DHCP${version === 6 ? "v6" : ""} datagram's checksum is completed`);
    completeAt(frame, TRANSPORT[version], TRANSPORT[version] + 6);
    return { frame, left: COMPLETE };
  }
  return { frame, left: said };
}

function completeAt(frame: Uint8Array, start: number, field: number): void {
  const checksum = 0xffff - onesComplementSum(frame.slice(start));
  frame.set(be16(checksum === 0 ? 0xffff : checksum), field);
}

function isDhcp(frame: Uint8Array): boolean {
  if (frame.length < 42 || uint16(frame, 12) !== 0x0800 || frame[14] !== 0x45 || frame[23] !== UDP) return false;
  if (uint16(frame, 20) % 0x4000 !== 0 || uint16(frame, 16) !== frame.length - 14) return false;
  return [uint16(frame, 34), uint16(frame, 36)].some((port) => port === 67 || port === 68);
}

function isDhcp6(frame: Uint8Array): boolean {
  if (frame.length < 62 || uint16(frame, 12) !== 0x86dd || Math.floor(frame[14]! / 16) !== 6) return false;
  if (frame[20] !== UDP || uint16(frame, 18) !== frame.length - 54) return false;
  return [uint16(frame, 54), uint16(frame, 56)].some((port) => port === 546 || port === 547);
}

/** 8a of the specification. */
export function checkOffload(state: State, left: Left, frame: Uint8Array, packet: Packet): string {
  if (left.kind === "complete") return PASS;
  const { protocol, fragment, payload } = packet;
  const padded = uint16(frame, 16) !== frame.length - 14;
  return check(state, left, { version: 4, protocol, fragment, padded, payload, dhcp: [67, 68] });
}

/** Form, 6, of IPv6's specification. */
export function checkOffload6(six: State6, left: Left, frame: Uint8Array, packet: Packet6): string {
  const { state } = six;
  if (left.kind === "complete") return PASS;
  const { protocol, fragment, payload, headers } = packet;
  const padded = uint16(frame, 18) !== frame.length - 54 && !six.fault("padding behind IPv6 segments passes");
  const behind = headers.length > 0 && !six.fault("segments behind IPv6 extension headers pass");
  if (left.kind !== "malformed" && behind) {
    state.reach("no offload of IPv6: an extension header");
    return "frame.offload";
  }
  return check(state, left, { version: 6, protocol, fragment, padded, payload, dhcp: [546, 547] });
}

/** Planted bugs that sessions with headers must find. */
export const OFFLOAD_FAULTS = [
  "a DHCPv6 checksum stays partial",
  "padding behind IPv6 segments passes",
  "segments behind IPv6 extension headers pass",
  "kinds of IPv4 pass in IPv6",
  "DHCPv6 in segments passes",
  "SYN in IPv6 segments passes",
  "257 segments of IPv6 pass",
  "IPv6 segments longer than the MTU pass",
] as const;

interface Carried {
  readonly version: 4 | 6;
  readonly protocol: number;
  readonly fragment: boolean;
  readonly padded: boolean;
  /** Behind the IP header. */
  readonly payload: Uint8Array;
  readonly dhcp: readonly number[];
}

function check(state: State, left: Left, packet: Carried): string {
  const ipv6 = packet.version === 6 ? " of IPv6" : "";
  const fault = (name: (typeof OFFLOAD_FAULTS)[number]): boolean =>
    packet.version === 6 && state.ipv6?.fault(name) === true;
  const no = (what: string): string => {
    state.reach(`no offload${ipv6}: ${what}`);
    return "frame.offload";
  };
  const { payload } = packet;
  const ipHeader = packet.version === 6 ? 40 : 20;
  const total = ipHeader + payload.length;
  if (left.kind === "malformed") return no("a malformed header");
  if (left.version !== packet.version && !fault("kinds of IPv4 pass in IPv6"))
    return no("a packet of the other family");
  if (packet.protocol !== left.protocol) return no(`a packet of another protocol than ${left.protocol}`);
  if (packet.fragment) return no("a fragment");
  if (packet.padded) return no("padding");
  if (left.kind === "partial") return PASS;

  const isTcp = left.protocol === TCP;
  const header = isTcp ? Math.floor(payload[12]! / 16) * 4 : 8;
  if (isTcp) {
    if (header < 20) return no("a TCP header that is too short");
    if (ipHeader + header > total) return no("a TCP header beyond the packet");
    const flags = payload[13]!;
    if (Math.floor(flags / 2) % 2 === 1 && !fault("SYN in IPv6 segments passes")) return no("SYN in segments");
    if (Math.floor(flags / 4) % 2 === 1) return no("RST in segments");
  } else {
    if (uint16(payload, 4) !== payload.length) return no("UDP of another length");
    const isDhcp = [uint16(payload, 0), uint16(payload, 2)].some((port) => packet.dhcp.includes(port));
    if (isDhcp && !fault("DHCPv6 in segments passes")) return no("DHCP in segments");
  }
  const segments = Math.ceil((payload.length - header) / left.size);
  const most = isTcp ? 256 : 128;
  if (segments > most + (fault("257 segments of IPv6 pass") ? 1 : 0)) return no(`more than ${most} segments`);
  if (ipHeader + header + left.size > state.mtu && !fault("IPv6 segments longer than the MTU pass")) {
    state.reach(`segments${ipv6} longer than the MTU`);
    return "frame.long";
  }
  if (segments === most) state.reach(`${most} segments${ipv6}`);
  if (ipHeader + header + left.size === state.mtu) state.reach(`segments${ipv6} as long as the MTU`);
  return PASS;
}

/** The kind as text; a frame of one segment is not to be cut. */
export function tellLeft(left: Left, frame: Uint8Array): string {
  const known = { [TCP]: "TCP", [UDP]: "UDP" }[left.protocol];
  const name = known === undefined ? "" : `${known} of IPv${left.version}`;
  if (left.kind !== "segmented") return `${left.kind} ${name}`.trim();
  const transport = TRANSPORT[left.version];
  const header = left.protocol === TCP ? Math.floor(frame[transport + 12]! / 16) * 4 : 8;
  return frame.length - transport - header <= left.size ? `partial ${name}` : `segmented ${name} ${left.size}`;
}

/** The frame as it leaves softnet: a checksum that somebody had verified gives way to the pseudo-header's sum. */
export function sent({ frame, left }: Judged): Uint8Array {
  if (!left.verified) return frame;
  const changed = frame.slice();
  const transport = TRANSPORT[left.version];
  const addresses = left.version === 4 ? frame.slice(26, 34) : frame.slice(22, 54);
  const pseudoHeader = join(addresses, be32(frame.length - transport), be32(TCP));
  changed.set(be16(onesComplementSum(pseudoHeader)), transport + 16);
  return changed;
}
