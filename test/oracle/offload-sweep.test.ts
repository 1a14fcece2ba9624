/**
 * Every value of each field of the virtio-net header, and every length of a frame behind it, through both guards (threat
 * row L11). The rest of the frame is an ordinary packet of a VM that may send everywhere.
 */
import { test } from "node:test";
import type { GuardOptions } from "../../src/guard/types.ts";
import { be16, ipv4Frame, join } from "./build.ts";
import { addressNumber } from "./bytes.ts";
import { FirstGuard } from "./first.ts";
import { frame6 } from "./ipv6/build.ts";
import { address6 } from "./ipv6/bytes.ts";
import { Tally6 } from "./ipv6/tally.ts";
import { ACK, GATEWAY, PEER_MAC, SYN, TCP, UDP, VM, VM_MAC } from "./talk.ts";
import { Tally } from "./tally.ts";
import type { FrameStep } from "./world.ts";

const MTU = 1500;
const DIRECTIONS = ["egress", "ingress"] as const;
type Direction = (typeof DIRECTIONS)[number];
const REMOTE = "1.1.1.1";
const [VM6, REMOTE6] = ["2001:db8:1::5", "2606:4700::1111"];

interface Fields {
  readonly flags?: number;
  readonly type?: number;
  readonly headerLength?: number;
  readonly size?: number;
  readonly start?: number;
  readonly offset?: number;
}

const little = (value: number): number[] => [value % 256, Math.floor(value / 256)];

function header(fields: Fields): Uint8Array {
  const { flags = 1, type = 0, headerLength = 54, size = 0, start = 34, offset = 16 } = fields;
  return new Uint8Array([flags, type, ...little(headerLength), ...little(size), ...little(start), ...little(offset)]);
}

type Version = 4 | 6;
const VERSIONS = [4, 6] as const;
type Kind = "tcp" | "udp" | "dhcp" | "icmp";

/** Where TCP and UDP begin, and gso_type of TCP. */
const TRANSPORT = { 4: 34, 6: 54 } as const;
const SEGMENTED_TCP = { 4: 1, 6: 4 } as const;
/** Of a client and of a server. */
const DHCP_PORTS = { 4: [68, 67], 6: [546, 547] } as const;

/** A packet with this much data; DHCP's has ports that make it so, and no message. */
function packet(version: Version, direction: Direction, kind: Kind, data: number, flags = ACK): Uint8Array {
  const egress = direction === "egress";
  const [client, server] = DHCP_PORTS[version];
  const ports = join(
    be16(kind === "dhcp" ? (egress ? client : server) : 40_000),
    be16(kind === "dhcp" ? (egress ? server : client) : 443),
  );
  const head = {
    tcp: join(ports, new Uint8Array(8).fill(7), [0x50, flags], new Uint8Array(6)),
    icmp: new Uint8Array([version === 4 ? 8 : 128, 0, 0, 0, 0, 7, 0, 1]),
    udp: join(ports, be16(8 + data), [0, 0]),
    dhcp: join(ports, be16(8 + data), [0, 0]),
  }[kind];
  const payload = join(head, new Uint8Array(data).fill(0x61));
  const ends = {
    ethernetDestination: egress ? PEER_MAC : VM_MAC,
    ethernetSource: egress ? VM_MAC : PEER_MAC,
    protocol: kind === "tcp" ? TCP : kind !== "icmp" ? UDP : version === 4 ? 1 : 58,
    payload,
    padding: 0,
    version,
  };
  if (version === 6) {
    const [source, destination] = (egress ? [VM6, REMOTE6] : [REMOTE6, VM6]).map(address6) as [bigint, bigint];
    return frame6({ ...ends, lengthError: 0, hopLimit: 64, headers: [], source, destination });
  }
  const [source, destination] = (egress ? [VM, REMOTE] : [REMOTE, VM]).map(addressNumber) as [number, number];
  return ipv4Frame({
    ...{ options: new Uint8Array(0), totalLengthError: 0, identification: 7, flags: 2, offset: 0, ttl: 64 },
    ...{ badChecksum: false, source, destination },
    ...ends,
  });
}

const OPTIONS: Readonly<Record<Version, GuardOptions>> = {
  4: { macAddress: VM_MAC, address: VM, gateway: GATEWAY, allow: ["0.0.0.0/0"], mtu: MTU },
  6: { macAddress: VM_MAC, ipv6: true, address6: VM6, allow: ["::/0"], mtu: MTU },
};

/** Runs all frames through both, in sessions that are short enough to be told. */
function compare(version: Version, steps: Iterable<readonly [Direction, Uint8Array, Uint8Array]>): Tally | Tally6 {
  const tally = version === 4 ? new Tally() : new Tally6();
  let some: FrameStep[] = [];
  const options = OPTIONS[version];
  const run = () => {
    tally.run((given) => new FirstGuard(given), { seed: tally.sessions, options, steps: some });
    some = [];
  };
  for (const [direction, frame, before] of steps) {
    some.push({ kind: "frame", direction, frame, header: before, time: 1_000_000 + some.length, label: "swept" });
    if (some.length === 1000) run();
  }
  run();
  return tally;
}

for (const version of VERSIONS) {
  const start = TRANSPORT[version];
  const tcp = SEGMENTED_TCP[version];
  const isTcp = (frame: Uint8Array): boolean => frame[version === 4 ? 23 : 20] === TCP;

  test(`every pair of flags and type is read alike, large and small, TCP and UDP, IPv${version} (L11)`, (t) => {
    function* all() {
      for (const direction of DIRECTIONS) {
        const frames = (["tcp", "udp"] as const).flatMap((kind) => [
          packet(version, direction, kind, 100),
          packet(version, direction, kind, 3000),
        ]);
        for (let flags = 0; flags < 256; flags++) {
          for (let type = 0; type < 256; type++) {
            const frame = frames[(flags + type) % 4]!;
            yield [
              direction,
              frame,
              header({ flags, type, size: 1000, start, offset: isTcp(frame) ? 16 : 6 }),
            ] as const;
          }
        }
        for (const flags of [0, 1, 2, 3]) {
          for (const type of [0, 1, 3, 4, 5, 129, 131, 132, 133]) {
            for (const frame of frames) {
              for (const offset of [6, 16])
                yield [direction, frame, header({ flags, type, size: 1000, start, offset })] as const;
            }
          }
        }
      }
    }
    compare(version, all()).tell((text) => t.diagnostic(text));
  });

  test(`every place of a checksum in a frame and behind it is read alike, IPv${version} (L11)`, (t) => {
    function* all() {
      for (const direction of DIRECTIONS) {
        for (const kind of ["tcp", "udp", "dhcp", "icmp"] as const) {
          const frame = packet(version, direction, kind, 11);
          for (let place = 0; place < frame.length + 4; place++) {
            for (let offset = 0; offset < frame.length + 4; offset++) {
              yield [direction, frame, header({ start: place, offset })] as const;
            }
          }
          for (let value = 0; value < 65_536; value += 17) {
            yield [direction, frame, header({ start: value })] as const;
            yield [direction, frame, header({ start, offset: value })] as const;
          }
        }
      }
    }
    compare(version, all()).tell((text) => t.diagnostic(text));
  });

  test(`every segment size and every header length is read alike, IPv${version} (L11)`, (t) => {
    function* all() {
      for (let size = 0; size < 65_536; size++) {
        const direction = DIRECTIONS[size % 2]!;
        const near = size < 1600;
        if (!near && size % 7 !== 0) continue;
        for (const data of near ? [0, 1, 999, 1000, 5000] : [3000]) {
          yield [
            direction,
            packet(version, direction, "tcp", data),
            header({ type: tcp, size, start, headerLength: size }),
          ] as const;
          yield [
            direction,
            packet(version, direction, "tcp", data),
            header({ flags: 2, type: tcp + 128, size, start: 0 }),
          ] as const;
          yield [
            direction,
            packet(version, direction, "udp", data),
            header({ type: 5, size, start, offset: 6 }),
          ] as const;
        }
      }
    }
    compare(version, all()).tell((text) => t.diagnostic(text));
  });

  test(`every length of a frame is judged alike behind each kind of header, IPv${version} (L11)`, (t) => {
    const headers = [
      header({ flags: 0 }),
      header({ start }),
      header({ start, offset: 6 }),
      header({ start: 35 }),
      header({ start: 60, offset: 2 }),
      ...[
        header({ type: tcp, size: 500, start }),
        header({ flags: 2, type: tcp, size: 1460 }),
        header({ type: 5, size: 500, start, offset: 6 }),
      ],
      header({ flags: 3 }),
    ];
    function* all() {
      for (const direction of DIRECTIONS) {
        for (const kind of ["tcp", "udp", "dhcp", "icmp"] as const) {
          const long = packet(version, direction, kind, 100);
          for (const before of headers) {
            for (let length = 0; length < long.length; length++)
              yield [direction, long.slice(0, length), before] as const;
            for (let data = 0; data < MTU + 40; data += data < MTU - 60 ? 7 : 1) {
              const frame = packet(version, direction, kind, data);
              yield [direction, frame, before] as const;
              yield [direction, join(frame, [0]), before] as const;
            }
          }
        }
      }
    }
    compare(version, all()).tell((text) => t.diagnostic(text));
  });

  test(`every byte of the flags and of the data offset of large TCP is judged alike, IPv${version} (L11)`, (t) => {
    function* all() {
      for (const direction of DIRECTIONS) {
        for (const fields of [{ type: tcp, size: 700, start }, { flags: 2, type: tcp, size: 700 }, { start }]) {
          for (let value = 0; value < 256; value++) {
            const flagged = packet(version, direction, "tcp", 1400, value);
            yield [direction, flagged, header(fields)] as const;
            for (const data of [0, 39, 40, 41, 1400]) {
              const frame = packet(version, direction, "tcp", data, value % 2 === 0 ? ACK : SYN);
              frame[start + 12] = value;
              yield [direction, frame, header(fields)] as const;
            }
          }
        }
      }
    }
    compare(version, all()).tell((text) => t.diagnostic(text));
  });
}
