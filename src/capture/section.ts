/**
 * The head of a pcapng file that softnet writes: one section header block (section 4.1) and one interface description
 * block for each interface (section 4.2), little-endian.
 */
import {
  BLOCK_HEADER,
  BLOCK_TRAILER,
  BYTE_ORDER_MAGIC,
  IF_DESCRIPTION,
  IF_NAME,
  IF_TSRESOL,
  INTERFACE_DESCRIPTION_BLOCK,
  OPT_ENDOFOPT,
  OPTION_HEADER,
  padded,
  SECTION_HEADER_BLOCK,
  SHB_USERAPPL,
} from "./blocks.ts";
import { LINKTYPE_ETHERNET } from "./linktype.ts";

export interface InterfaceDescription {
  /** What Wireshark shows as the interface's name. */
  readonly name: string;
  readonly description: string;
}

/** if_tsresol: 10⁻⁶ seconds. */
const MICROSECONDS = 6;

const text = new TextEncoder();

export function sectionStart(
  application: string,
  snaplen: number,
  interfaces: readonly InterfaceDescription[],
): Uint8Array {
  // Magic, version 1.0, and -1: the section's length is not specified.
  const section = new Uint8Array(16);
  const view = new DataView(section.buffer);
  view.setUint32(0, BYTE_ORDER_MAGIC, true);
  view.setUint16(4, 1, true);
  view.setBigInt64(8, -1n, true);
  const parts = [block(SECTION_HEADER_BLOCK, section, [[SHB_USERAPPL, text.encode(application)]])];
  for (const { name, description } of interfaces) {
    const body = new Uint8Array(8);
    const bodyView = new DataView(body.buffer);
    bodyView.setUint16(0, LINKTYPE_ETHERNET, true);
    bodyView.setUint32(4, snaplen, true);
    parts.push(
      block(INTERFACE_DESCRIPTION_BLOCK, body, [
        [IF_NAME, text.encode(name)],
        [IF_DESCRIPTION, text.encode(description)],
        [IF_TSRESOL, Uint8Array.of(MICROSECONDS)],
      ]),
    );
  }
  return Buffer.concat(parts);
}

/** A block with its fixed part and its options; empty options are omitted. */
function block(type: number, body: Uint8Array, options: readonly (readonly [code: number, value: Uint8Array])[]) {
  const present = options.filter(([, value]) => value.length > 0);
  const size = present.reduce((sum, [, value]) => sum + OPTION_HEADER + padded(value.length), OPTION_HEADER);
  const bytes = new Uint8Array(BLOCK_HEADER + body.length + size + BLOCK_TRAILER);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, bytes.length, true);
  bytes.set(body, BLOCK_HEADER);
  let at = BLOCK_HEADER + body.length;
  for (const [code, value] of present) {
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.set(value, at + OPTION_HEADER);
    at += OPTION_HEADER + padded(value.length);
  }
  view.setUint32(at, OPT_ENDOFOPT, true);
  view.setUint32(bytes.length - BLOCK_TRAILER, bytes.length, true);
  return bytes;
}
