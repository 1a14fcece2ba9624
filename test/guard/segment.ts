/** A TCP segment without options, the same in both address families; its checksum is 0. */
import { put16, put32 } from "../../src/wire/bytes.ts";
import { bytes, join } from "./support.ts";

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const ACK_FLAG = 0x10;

export interface TcpWords {
  /** The VM's port and the remote one. */
  readonly own?: number;
  readonly port?: number;
  readonly flags?: number;
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly data?: Uint8Array;
}

/** A bare SYN, unless told otherwise. */
export function segment(from: number, to: number, words: TcpWords): Uint8Array {
  const header = new Uint8Array(20);
  put16(header, 0, from);
  put16(header, 2, to);
  put32(header, 4, words.sequence ?? 1);
  put32(header, 8, words.acknowledgement ?? 0);
  header[12] = 0x50;
  header[13] = words.flags ?? SYN;
  return join(header, words.data ?? bytes());
}
