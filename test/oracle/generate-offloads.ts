/**
 * Puts a virtio-net header in front of a session's frames, as a guest or a host behind a TAP does (most frames' checksums
 * partial, some frames large), and as a hostile one would. It draws from numbers of its own, so that the session below
 * stays what its seed says.
 */
import { be16, be32, join } from "./build.ts";
import { onesComplementSum, uint16 } from "./bytes.ts";
import type { Session } from "./generate.ts";
import { Random } from "./random.ts";
import type { FrameStep, Step } from "./world.ts";

const TCP = 6;
const UDP = 17;
const TRANSPORT = 34;

interface Header {
  flags: number;
  type: number;
  headerLength: number;
  size: number;
  start: number;
  offset: number;
}

interface Sent {
  frame: Uint8Array;
  header: Header;
}

const little = (value: number): number[] => [value & 255, (value >>> 8) & 255];
const headerBytes = ({ flags, type, headerLength, size, start, offset }: Header): Uint8Array =>
  new Uint8Array([flags, type, ...little(headerLength), ...little(size), ...little(start), ...little(offset)]);

/** The same session, as it comes from a TAP and goes to one. */
export function withHeaders(session: Session<Step>): Session<Step> {
  const sender = new Sender(session.seed, session.options.mtu ?? 1500);
  return { ...session, steps: session.steps.map((step) => (step.kind === "frame" ? sender.send(step) : step)) };
}

class Sender {
  readonly #random: Random;
  readonly #mtu: number;

  constructor(seed: number, mtu: number) {
    this.#random = new Random(seed ^ 0x76697274);
    this.#mtu = mtu;
  }

  send(step: FrameStep): FrameStep {
    const random = this.#random;
    if (random.chance(0.05)) return step; // from a socket
    const isTransport = protocolOf(step.frame) !== undefined;
    const large = isTransport && random.chance(0.25) ? this.#enlarged(step.frame) : undefined;
    const honest = large ?? (random.chance(0.75) ? this.#partial(step.frame) : this.#complete(step.frame));
    if (large !== undefined && random.chance(0.25)) this.#bend(large);
    let header = headerBytes(honest.header);
    if (random.chance(0.3)) header = random.chance(0.05) ? random.bytes(10) : this.#hostile(honest);
    return { ...step, frame: honest.frame, header };
  }

  #complete(frame: Uint8Array): Sent {
    const random = this.#random;
    const number = () => (random.chance(0.5) ? 0 : random.below(65536));
    const header = { flags: random.pick([0, 0, 2]), type: 0, headerLength: number(), size: number() };
    return { frame, header: { ...header, start: number(), offset: number() } };
  }

  /** TCP or UDP with the sum of its pseudo-header, which is what the sender's stack leaves; else complete. */
  #partial(original: Uint8Array): Sent {
    const random = this.#random;
    const protocol = protocolOf(original);
    if (protocol === undefined) {
      if (original.length > 60 && random.chance(0.3)) return this.#inTunnel(original);
      return this.#complete(original);
    }
    const frame = original.slice();
    if (random.chance(0.97)) putPseudoSum(frame, protocol);
    return { frame, header: this.#usual(protocol) };
  }

  #usual(protocol: number): Header {
    const offset = protocol === TCP ? 16 : 6;
    return { flags: 1, type: 0, headerLength: this.#random.pick([0, 42, 54]), size: 0, start: TRANSPORT, offset };
  }

  /** The checksum of a packet that another one carries. */
  #inTunnel(frame: Uint8Array): Sent {
    const start = this.#random.between(TRANSPORT, frame.length - 20);
    return { frame, header: { ...this.#usual(UDP), start, offset: this.#random.pick([6, 16, 2]) } };
  }

  /** The same packet with much more data, to be cut. */
  #enlarged(original: Uint8Array): Sent | undefined {
    const random = this.#random;
    const protocol = protocolOf(original)!;
    const isTcp = protocol === TCP;
    const options = isTcp ? random.pick([0, 0, 12, 40]) : 0;
    const header = isTcp ? 20 + options : 8;
    const fits = this.#mtu - 20 - header;
    const size = Math.max(
      1,
      random.pick([fits, fits, fits - 1, fits + 1, 1, 2, 3, 7, 100, 255, 256, 512, 1448, 65535]),
    );
    const most = isTcp ? 256 : 128;
    const count = size > 300 ? random.between(0, 6) : random.pick([1, 2, 3, most - 1, most, most, most + 1, 300]);
    const length = Math.min(65535 - 20 - header, Math.max(0, count * size + random.pick([-1, 0, 0, 0, 1])));
    const data = new Uint8Array(length);
    data.set(random.bytes(Math.min(16, length)));
    const frame = join(
      original.slice(0, TRANSPORT),
      original.slice(TRANSPORT, TRANSPORT + (isTcp ? 20 : 8)),
      new Uint8Array(options).fill(1),
      data,
    );
    frame.set(be16(frame.length - 14), 16);
    if (isTcp) {
      frame[46] = header * 4;
      if (random.chance(0.9)) frame[47] = (frame[47]! & 0xf9) | (random.chance(0.5) ? 16 : 0);
    } else {
      frame.set(be16(frame.length - TRANSPORT), 38);
    }
    repairHeader(frame);
    putPseudoSum(frame, protocol);
    const type = isTcp ? random.pick([1, 1, 1, 129]) : 5;
    const verified = isTcp && random.chance(0.25);
    const rest = verified ? { start: 0, offset: 0, flags: 2 } : {};
    return { frame, header: { ...this.#usual(protocol), type, size, ...rest } };
  }

  /** One thing about a large frame that its header does not fit. */
  #bend(sent: Sent): void {
    const random = this.#random;
    let frame = sent.frame;
    switch (random.below(7)) {
      case 0: // a fragment
        frame.set(be16(random.pick([0x2000, 0x2004, 0x0004, 0x4000, 0x8000, 0x6000])), 20);
        break;
      case 1: // padding, or a packet beyond the frame
        if (random.chance(0.6)) frame = join(frame, new Uint8Array(random.between(1, 20)));
        else frame.set(be16(uint16(frame, 16) + random.pick([-1, 1])), 16);
        break;
      case 2: // TCP's data offset, UDP's length
        if (frame[23] === TCP) frame[46] = random.pick([0, 0x40, 0x50, 0x60, 0xf0, random.below(256)]);
        else frame.set(be16(uint16(frame, 38) + random.pick([-1, 1, 1000, -uint16(frame, 38)])), 38);
        break;
      case 3: // SYN, RST and others
        frame[47] = random.below(256);
        break;
      case 4: // DHCP's ports
        frame.set(be16(random.pick([67, 68, 69, 66])), random.pick([34, 36]));
        break;
      case 5:
        frame[23] = random.pick([TCP, UDP, 1, 47, 132]);
        break;
      default: // most of its data is missing
        frame = frame.slice(0, random.between(TRANSPORT + 8, TRANSPORT + 60));
        if (random.chance(0.7)) frame.set(be16(frame.length - 14), 16);
    }
    repairHeader(frame);
    sent.frame = frame;
  }

  /** One to three fields that are another. */
  #hostile({ frame, header }: Sent): Uint8Array {
    const random = this.#random;
    const changed = { ...header };
    const end = frame.length;
    const number = () => random.below(65536);
    const sizes = [0, 1, 2, 100, 255, 256, 536, this.#mtu - 40, this.#mtu - 39, this.#mtu - 28, this.#mtu, 65535];
    const starts = [0, 14, 33, 34, 35, 42, 54, 62, end - 3, end - 2, end - 1, end, 0x2200];
    const changes: (() => void)[] = [
      () => (changed.flags = random.pick([0, 1, 2, 3, 4, 5, 6, 129, 255, random.below(256)])),
      () => (changed.type = random.pick([0, 1, 2, 3, 4, 5, 6, 127, 128, 129, 131, 132, 133, random.below(256)])),
      () => (changed.headerLength = number()),
      () => (changed.size = random.chance(0.8) ? random.pick(sizes) : number()),
      () => (changed.start = random.chance(0.8) ? random.pick(starts) : number()),
      () => {
        const offsets = [0, 1, 2, 5, 6, 7, 8, 15, 16, 17, end - changed.start - 1, end - changed.start - 2, 0x1000];
        changed.offset = random.chance(0.8) ? random.pick(offsets) : number();
      },
    ];
    const count = random.pick([1, 1, 1, 2, 3]);
    for (let turn = 0; turn < count; turn++) random.pick(changes)();
    return headerBytes(changed);
  }
}

/** TCP or UDP that a stack may leave something of: behind a header without options, no fragment. */
function protocolOf(frame: Uint8Array): number | undefined {
  if (frame.length < 42 || uint16(frame, 12) !== 0x0800 || frame[14] !== 0x45) return undefined;
  if (uint16(frame, 20) % 0x4000 !== 0) return undefined;
  if (frame[23] === UDP) return UDP;
  return frame[23] === TCP && frame.length >= 54 ? TCP : undefined;
}

function putPseudoSum(frame: Uint8Array, protocol: number): void {
  const pseudoHeader = join(frame.slice(26, 34), be32(protocol * 65536 + uint16(frame, 16) - 20));
  frame.set(be16(onesComplementSum(pseudoHeader)), TRANSPORT + (protocol === TCP ? 16 : 6));
}

function repairHeader(frame: Uint8Array): void {
  frame.set([0, 0], 24);
  frame.set(be16(0xffff - onesComplementSum(frame.slice(14, 34))), 24);
}
