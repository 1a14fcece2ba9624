/**
 * The second guard's reading of the virtio-net header (virtio 1.2, 5.1.6), from docs/guard.md: what a sender has left to
 * do, which checksums are completed before a frame is judged, and what must hold for the rest.
 */
import { be16, be32, join } from "./build.ts";
import { onesComplementSum, PASS, uint16 } from "./bytes.ts";
import type { Packet } from "./ipv4.ts";
import type { State } from "./state.ts";

/** What is left to do; `size` is gso_size, 0 where nothing is to be cut. */
export interface Left {
  readonly kind: "complete" | "partial" | "segmented" | "malformed";
  readonly protocol: number;
  readonly size: number;
  /** Somebody says that the checksum of what is to be cut is right (flag 2). */
  readonly verified: boolean;
  /** The checksum that is to be completed at another place than TCP's and UDP's. */
  readonly elsewhere?: { readonly start: number; readonly field: number };
}

const TCP = 6;
const UDP = 17;
const TRANSPORT = 34;

const left = (kind: Left["kind"], protocol = 0, size = 0, verified = false): Left => ({
  kind,
  protocol,
  size,
  verified,
});
export const COMPLETE = left("complete");
const MALFORMED = left("malformed");

/** The kind that the 10 bytes say of a frame of this length. */
export function readHeader(header: Uint8Array, length: number): Left {
  const little = (at: number) => header[at]! + header[at + 1]! * 256;
  const [flags, type] = [header[0]!, header[1]!];
  const size = little(4);
  const start = little(6);
  const offset = little(8);
  const place = `${start};${offset}`;
  const tcpSegments = type === 1 || type === 129;

  if ((flags === 0 || flags === 2) && type === 0) return COMPLETE;
  if (flags === 1 && type === 0 && place === "34;16") return left("partial", TCP);
  if (flags === 1 && type === 0 && place === "34;6") return left("partial", UDP);
  if (flags === 1 && tcpSegments && place === "34;16" && size !== 0) return left("segmented", TCP, size);
  if (flags === 1 && type === 5 && place === "34;6" && size !== 0) return left("segmented", UDP, size);
  if (flags === 2 && tcpSegments && size !== 0) return left("segmented", TCP, size, true);
  if (flags === 1 && type === 0 && start >= TRANSPORT && start + offset + 2 <= length) {
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
  const said = readHeader(header, frame.length);
  if (said.elsewhere !== undefined) {
    state.reach("a checksum elsewhere is completed");
    completeAt(frame, said.elsewhere.start, said.elsewhere.field);
    return { frame, left: COMPLETE };
  }
  if (said.kind === "partial" && said.protocol === UDP && isDhcp(frame)) {
    state.reach("a DHCP datagram's checksum is completed");
    completeAt(frame, TRANSPORT, TRANSPORT + 6);
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

/** 8a of the specification. */
export function checkOffload(state: State, left: Left, frame: Uint8Array, packet: Packet): string {
  if (left.kind === "complete") return PASS;
  const no = (what: string): string => {
    state.reach(`no offload: ${what}`);
    return "frame.offload";
  };
  const { payload } = packet;
  const total = uint16(frame, 16);
  if (left.kind === "malformed") return no("a malformed header");
  if (packet.protocol !== left.protocol) return no(`a packet of another protocol than ${left.protocol}`);
  if (packet.fragment) return no("a fragment");
  if (total !== frame.length - 14) return no("padding");
  if (left.kind === "partial") return PASS;

  const isTcp = left.protocol === TCP;
  const header = isTcp ? Math.floor(payload[12]! / 16) * 4 : 8;
  if (isTcp) {
    if (header < 20) return no("a TCP header that is too short");
    if (20 + header > total) return no("a TCP header beyond the packet");
    const flags = payload[13]!;
    if (Math.floor(flags / 2) % 2 === 1) return no("SYN in segments");
    if (Math.floor(flags / 4) % 2 === 1) return no("RST in segments");
  } else {
    if (uint16(payload, 4) !== total - 20) return no("UDP of another length");
    if ([uint16(payload, 0), uint16(payload, 2)].some((port) => port === 67 || port === 68))
      return no("DHCP in segments");
  }
  const segments = Math.ceil((total - 20 - header) / left.size);
  const most = isTcp ? 256 : 128;
  if (segments > most) return no(`more than ${most} segments`);
  if (20 + header + left.size > state.mtu) {
    state.reach("segments longer than the MTU");
    return "frame.long";
  }
  if (segments === most) state.reach(`${most} segments`);
  if (20 + header + left.size === state.mtu) state.reach("segments as long as the MTU");
  return PASS;
}

/** The kind as text; a frame of one segment is not to be cut. */
export function tellLeft(left: Left, frame: Uint8Array): string {
  const name = left.protocol === TCP ? "TCP" : left.protocol === UDP ? "UDP" : "";
  if (left.kind !== "segmented") return `${left.kind} ${name}`.trim();
  const header = left.protocol === TCP ? Math.floor(frame[46]! / 16) * 4 : 8;
  return frame.length - 34 - header <= left.size ? `partial ${name}` : `segmented ${name} ${left.size}`;
}

/** The frame as it leaves softnet: a checksum that somebody had verified gives way to the pseudo-header's sum. */
export function sent({ frame, left }: Judged): Uint8Array {
  if (!left.verified) return frame;
  const changed = frame.slice();
  const pseudoHeader = join(frame.slice(26, 34), be32(TCP * 65536 + frame.length - TRANSPORT));
  changed.set(be16(onesComplementSum(pseudoHeader)), TRANSPORT + 16);
  return changed;
}
