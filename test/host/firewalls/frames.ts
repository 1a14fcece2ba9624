/** Frames for a TAP's descriptor, and what has come out of it. */
import { readSync, writeSync } from "node:fs";
import { addToSum, checksumOf } from "../../../src/wire/checksum.ts";
import { VIRTIO_NET_HEADER } from "../../../src/wire/virtio-net.ts";

export const TCP = 6;
export const UDP = 17;
export const ICMP = 1;
export const IPV4 = 0x0800;

export interface Addresses {
  /** MAC addresses in hexadecimal digits. */
  readonly toMac: string;
  readonly fromMac: string;
  /** IPv4 addresses in host order. */
  readonly from: number;
  readonly to: number;
}

/** An Ethernet frame with an IPv4 packet that must not be fragmented. */
export function ipv4Frame({ toMac, fromMac, from, to }: Addresses, protocol: number, payload: Buffer): Buffer {
  const frame = Buffer.alloc(34 + payload.length);
  frame.write(toMac, 0, "hex");
  frame.write(fromMac, 6, "hex");
  frame.writeUInt16BE(IPV4, 12);
  frame[14] = 0x45;
  frame.writeUInt16BE(20 + payload.length, 16);
  frame.writeUInt16BE(0x4000, 20);
  frame[22] = 64;
  frame[23] = protocol;
  frame.writeUInt32BE(from, 26);
  frame.writeUInt32BE(to, 30);
  frame.writeUInt16BE(checksumOf(addToSum(0, frame, 14, 20)), 24);
  payload.copy(frame, 34);
  return frame;
}

export function readFrames(fd: number): Buffer[] {
  const found: Buffer[] = [];
  const buffer = Buffer.alloc(2048);
  for (;;) {
    const length = readOne(fd, buffer);
    if (length === 0) return found;
    found.push(Buffer.from(buffer.subarray(VIRTIO_NET_HEADER, length)));
  }
}

/** Writes a frame to a TAP's descriptor, with nothing left to do. */
export function writeFrame(fd: number, frame: Uint8Array): void {
  writeSync(fd, Buffer.concat([Buffer.alloc(VIRTIO_NET_HEADER), frame]));
}

/** 0: nothing is there. */
function readOne(fd: number, buffer: Buffer): number {
  try {
    return readSync(fd, buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}
