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
const ICMPV6 = 58;

/** Where the fields of a packet are whose header is a plain one. */
interface Layout {
  readonly version: 4 | 6;
  /** Where TCP and UDP begin. */
  readonly transport: number;
  /** The field with the protocol. */
  readonly protocol: number;
  /** The field with the length. */
  readonly length: number;
  /** What is in front of the bytes that it counts. */
  readonly counted: number;
  readonly segmentedTcp: number;
  readonly dhcpPorts: readonly number[];
}

const IPV4: Layout = {
  version: 4,
  transport: 34,
  protocol: 23,
  length: 16,
  counted: 14,
  segmentedTcp: 1,
  dhcpPorts: [67, 68, 69, 66],
};
const IPV6: Layout = {
  version: 6,
  transport: 54,
  protocol: 20,
  length: 18,
  counted: 54,
  segmentedTcp: 4,
  dhcpPorts: [546, 547, 545, 548],
};

const layoutOf = (frame: Uint8Array): Layout => (frame.length >= 14 && uint16(frame, 12) === 0x86dd ? IPV6 : IPV4);

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
      if (isPlainIcmp6(original) && random.chance(0.9)) return this.#partialIcmp6(original);
      if (original.length > 60 && random.chance(0.3)) return this.#inTunnel(original);
      return this.#complete(original);
    }
    const frame = original.slice();
    if (random.chance(0.97)) putPseudoSum(frame, protocol);
    return { frame, header: this.#usual(protocol, layoutOf(frame)) };
  }

  /** ICMPv6 with the sum of its pseudo-header: neighbour discovery is to go on. */
  #partialIcmp6(original: Uint8Array): Sent {
    const frame = original.slice();
    putPseudoSum(frame, ICMPV6);
    return { frame, header: { ...this.#usual(UDP, IPV6), offset: 2 } };
  }

  #usual(protocol: number, { transport }: Layout): Header {
    const offset = protocol === TCP ? 16 : 6;
    return { flags: 1, type: 0, headerLength: this.#random.pick([0, 42, 54]), size: 0, start: transport, offset };
  }

  /** The checksum of a packet that another one carries. */
  #inTunnel(frame: Uint8Array): Sent {
    const start = this.#random.between(34, frame.length - 20);
    return { frame, header: { ...this.#usual(UDP, IPV4), start, offset: this.#random.pick([6, 16, 2]) } };
  }

  /** The same packet with much more data, to be cut. */
  #enlarged(original: Uint8Array): Sent | undefined {
    const random = this.#random;
    const protocol = protocolOf(original)!;
    const layout = layoutOf(original);
    const { transport } = layout;
    const isTcp = protocol === TCP;
    const options = isTcp ? random.pick([0, 0, 12, 40]) : 0;
    const header = isTcp ? 20 + options : 8;
    const ipHeader = transport - 14;
    const fits = this.#mtu - ipHeader - header;
    const size = Math.max(
      1,
      random.pick([fits, fits, fits - 1, fits + 1, 1, 2, 3, 7, 100, 255, 256, 512, 1448, 65535]),
    );
    const most = isTcp ? 256 : 128;
    const count = size > 300 ? random.between(0, 6) : random.pick([1, 2, 3, most - 1, most, most, most + 1, 300]);
    const length = Math.min(
      65535 - (transport - layout.counted) - header,
      Math.max(0, count * size + random.pick([-1, 0, 0, 0, 1])),
    );
    const data = new Uint8Array(length);
    data.set(random.bytes(Math.min(16, length)));
    const frame = join(
      original.slice(0, transport),
      original.slice(transport, transport + (isTcp ? 20 : 8)),
      new Uint8Array(options).fill(1),
      data,
    );
    frame.set(be16(frame.length - layout.counted), layout.length);
    if (isTcp) {
      frame[transport + 12] = header * 4;
      const flags = transport + 13;
      if (random.chance(0.9)) frame[flags] = (frame[flags]! & 0xf9) | (random.chance(0.5) ? 16 : 0);
    } else {
      frame.set(be16(frame.length - transport), transport + 4);
    }
    repairHeader(frame);
    putPseudoSum(frame, protocol);
    const tcp = layout.segmentedTcp;
    const type = isTcp ? random.pick([tcp, tcp, tcp, tcp + 128]) : 5;
    const verified = isTcp && random.chance(0.25);
    const rest = verified ? { start: 0, offset: 0, flags: 2 } : {};
    return { frame, header: { ...this.#usual(protocol, layout), type, size, ...rest } };
  }

  /** One thing about a large frame that its header does not fit. */
  #bend(sent: Sent): void {
    const random = this.#random;
    let frame = sent.frame;
    const { version, transport, protocol, length, counted, dhcpPorts } = layoutOf(frame);
    const isTcp = frame[protocol] === TCP;
    switch (random.below(7)) {
      case 0: // a fragment, or another extension header
        if (version === 4) frame.set(be16(random.pick([0x2000, 0x2004, 0x0004, 0x4000, 0x8000, 0x6000])), 20);
        else frame = this.#extended(frame);
        break;
      case 1: // padding, or a packet beyond the frame
        if (random.chance(0.6)) frame = join(frame, new Uint8Array(random.between(1, 20)));
        else frame.set(be16(uint16(frame, length) + random.pick([-1, 1])), length);
        break;
      case 2: // TCP's data offset, UDP's length
        if (isTcp) frame[transport + 12] = random.pick([0, 0x40, 0x50, 0x60, 0xf0, random.below(256)]);
        else {
          const said = uint16(frame, transport + 4);
          frame.set(be16(said + random.pick([-1, 1, 1000, -said])), transport + 4);
        }
        break;
      case 3: // SYN, RST and others
        frame[transport + 13] = random.below(256);
        break;
      case 4: // DHCP's ports
        frame.set(be16(random.pick(dhcpPorts)), transport + random.pick([0, 2]));
        break;
      case 5:
        frame[protocol] = random.pick([TCP, UDP, version === 4 ? 1 : ICMPV6, 47, 132]);
        break;
      default: // most of its data is missing
        frame = frame.slice(0, random.between(transport + 8, transport + 60));
        if (random.chance(0.7)) frame.set(be16(frame.length - counted), length);
    }
    repairHeader(frame);
    sent.frame = frame;
  }

  /** With an extension header behind the IPv6 header. */
  #extended(frame: Uint8Array): Uint8Array {
    const random = this.#random;
    const next = frame[20]!;
    const number = random.pick([44, 44, 60, 0]);
    const rest = number === 44 ? [...be16(random.pick([1, 0, 9, 8])), 0, 0, 0, 1] : [1, 4, 0, 0, 0, 0];
    const longer = join(frame.slice(0, 54), [next, 0], rest, frame.slice(54, 65_535 + 54 - 8));
    longer[20] = number;
    longer.set(be16(longer.length - 54), 18);
    return longer;
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

/** TCP or UDP that a stack may leave something of: behind a header without options and extensions, no fragment. */
function protocolOf(frame: Uint8Array): number | undefined {
  const { version, transport, protocol } = layoutOf(frame);
  if (frame.length < transport + 8) return undefined;
  if (version === 4 && (uint16(frame, 12) !== 0x0800 || frame[14] !== 0x45)) return undefined;
  if (version === 4 && uint16(frame, 20) % 0x4000 !== 0) return undefined;
  if (frame[protocol] === UDP) return UDP;
  return frame[protocol] === TCP && frame.length >= transport + 20 ? TCP : undefined;
}

const isPlainIcmp6 = (frame: Uint8Array): boolean =>
  frame.length >= 62 && layoutOf(frame).version === 6 && frame[20] === ICMPV6;

function putPseudoSum(frame: Uint8Array, protocol: number): void {
  const { version, transport, length } = layoutOf(frame);
  const addresses = version === 4 ? frame.slice(26, 34) : frame.slice(22, 54);
  const counted = version === 4 ? uint16(frame, length) - 20 : uint16(frame, length);
  const pseudoHeader = join(addresses, be32(protocol * 65536 + counted));
  const place = protocol === TCP ? 16 : protocol === UDP ? 6 : 2;
  frame.set(be16(onesComplementSum(pseudoHeader)), transport + place);
}

function repairHeader(frame: Uint8Array): void {
  if (layoutOf(frame).version === 6) return;
  frame.set([0, 0], 24);
  frame.set(be16(0xffff - onesComplementSum(frame.slice(14, 34))), 24);
}
