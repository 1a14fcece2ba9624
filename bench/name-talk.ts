/** A VM and its network at the far ends of a softnet's wires, as rules by name need them: a lease, lookups, connections. */
import koffi from "koffi";
import { put16, put32 } from "../src/wire/bytes.ts";
import { emitDhcp } from "../src/wire/dhcp.ts";
import { ETHERNET_HEADER, emitEthernet, putEthernet, TYPE_IPV4 } from "../src/wire/ethernet.ts";
import { IPV4_HEADER, PROTOCOL_TCP, putIPv4Header } from "../src/wire/ipv4.ts";
import { putTcp, TCP_ACK, TCP_HEADER, TCP_PSH, TCP_SYN } from "../src/wire/tcp.ts";
import { emitUdp } from "../src/wire/udp.ts";
import type { Wires } from "./processes.ts";

const VM_MAC = 0x020000000011;
const SERVER_MAC = 0x020000000001;
const BROADCAST = 0xffffffffffff;
const VM = 0xc0a84009;
const SERVER = 0xc0a84001;
const LEASE = 86_400;
const [DISCOVER, OFFER, REQUEST, ACK] = [1, 2, 3, 5] as const;
const RESOLVER_PORT = 53;

/** Bytes of a segment's data: a hello with keys that resist quantum computers needs two. */
const LONGEST_DATA = 1460;

const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
/** Seconds. */
const PATIENCE = 10;

const libc = koffi.load(null);
const send = libc.func("long send(int fd, const uint8_t *bytes, size_t length, int flags)");
const receive = libc.func("long recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)");
const setTimeoutOf = libc.func("int setsockopt(int fd, int level, int name, const int64_t *value, uint32_t length)");

export type Side = "vm" | "network";

const bytesOf = (value: number): Uint8Array => {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, value);
  return bytes;
};

export class NameTalk {
  readonly #ends: Record<Side, number>;
  readonly #heard = new Uint8Array(2048);

  constructor({ far: [vm, network] }: Pick<Wires, "far">) {
    this.#ends = { vm, network };
    for (const end of [vm, network]) setTimeoutOf(end, SOL_SOCKET, SO_RCVTIMEO, [PATIENCE, 0], 16);
  }

  /** Sends a frame from one side and waits until it is at the other one; throws where it does not come. */
  pass(from: Side, frame: Uint8Array): void {
    send(this.#ends[from], frame, frame.length, 0);
    const length = Number(receive(this.#ends[from === "vm" ? "network" : "vm"], this.#heard, this.#heard.length, 0));
    if (length !== frame.length) throw new Error(`a frame of ${frame.length} bytes from the ${from} came as ${length}`);
  }

  /** The VM gets its address, with a DNS server. */
  bind(): void {
    for (const [asks, answers] of [
      [DISCOVER, OFFER],
      [REQUEST, ACK],
    ] as const) {
      const wanted = [50, bytesOf(VM)] as const;
      const named = [54, bytesOf(SERVER)] as const;
      const options = [[53, Uint8Array.of(asks)], wanted, ...(asks === REQUEST ? [named] : [])] as const;
      const question = emitDhcp({ op: 1, xid: 77, chaddr: VM_MAC, options });
      const up = { source: 0, destination: 0xffffffff, sourcePort: 68, destinationPort: 67 };
      this.pass("vm", emitEthernet(BROADCAST, VM_MAC, TYPE_IPV4, emitUdp(up, question)));
      const given = [
        [53, Uint8Array.of(answers)],
        named,
        [51, bytesOf(LEASE)],
        [1, bytesOf(0xffffff00)],
        [3, bytesOf(SERVER)],
        [6, bytesOf(SERVER)],
      ] as const;
      const answer = emitDhcp({ op: 2, xid: 77, chaddr: VM_MAC, yiaddr: VM, options: given });
      const down = { source: SERVER, destination: VM, sourcePort: 67, destinationPort: 68 };
      this.pass("network", emitEthernet(VM_MAC, SERVER_MAC, TYPE_IPV4, emitUdp(down, answer)));
    }
  }

  /** The VM looks a name up. Both frames; `id`: of the question. */
  lookup(name: string, addresses: readonly number[], id: number): readonly [Uint8Array, Uint8Array] {
    const question = messageOf(id, name, []);
    const answer = messageOf(id, name, addresses);
    const port = 20_000 + (id % 10_000);
    const up = { source: VM, destination: SERVER, sourcePort: port, destinationPort: RESOLVER_PORT };
    const down = { source: SERVER, destination: VM, sourcePort: RESOLVER_PORT, destinationPort: port };
    return [
      emitEthernet(SERVER_MAC, VM_MAC, TYPE_IPV4, emitUdp(up, question)),
      emitEthernet(VM_MAC, SERVER_MAC, TYPE_IPV4, emitUdp(down, answer)),
    ];
  }

  /** The frames with which a connection begins, and the side of each. */
  begin(address: number, port: number, hello: Uint8Array): readonly (readonly [Side, Uint8Array])[] {
    const end = 1001 + hello.length;
    const parts = Array.from({ length: Math.ceil(hello.length / LONGEST_DATA) }, (_, part) => part * LONGEST_DATA);
    const said = parts.map((at) => {
      const data = hello.subarray(at, at + LONGEST_DATA);
      return ["vm", segmentOf("vm", address, port, [1001 + at, 5001, TCP_ACK | TCP_PSH], data)] as const;
    });
    return [
      ["vm", segmentOf("vm", address, port, [1000, 0, TCP_SYN], new Uint8Array(0))],
      ["network", segmentOf("network", address, port, [5000, 1001, TCP_SYN | TCP_ACK], new Uint8Array(0))],
      ...said,
      ["network", segmentOf("network", address, port, [5001, end, TCP_ACK], new Uint8Array(0))],
    ];
  }
}

/** A frame of `length` bytes of a connection that goes on. */
export function frameOfConnection(from: Side, address: number, port: number, length: number): Uint8Array {
  const data = new Uint8Array(length - ETHERNET_HEADER - IPV4_HEADER - TCP_HEADER);
  return segmentOf(from, address, port, from === "vm" ? [3000, 5001, TCP_ACK] : [5001, 3000, TCP_ACK], data);
}

function segmentOf(
  from: Side,
  remote: number,
  port: number,
  [sequence, acknowledgement, flags]: readonly [number, number, number],
  data: Uint8Array,
): Uint8Array {
  const headers = ETHERNET_HEADER + IPV4_HEADER + TCP_HEADER;
  const frame = new Uint8Array(Math.max(60, headers + data.length));
  frame.set(data, headers);
  const isUp = from === "vm";
  const [own, other] = isUp ? [VM, remote] : [remote, VM];
  putIPv4Header(frame, ETHERNET_HEADER, IPV4_HEADER + TCP_HEADER + data.length, PROTOCOL_TCP, own, other);
  const [source, destination] = isUp ? [port, 443] : [443, port];
  putTcp(frame, ETHERNET_HEADER, source, destination, sequence, acknowledgement, flags, data.length);
  putEthernet(frame, 0, isUp ? SERVER_MAC : VM_MAC, isUp ? VM_MAC : SERVER_MAC, TYPE_IPV4);
  return frame;
}

/** A question for a name's IPv4 addresses, or its answer. */
function messageOf(id: number, name: string, addresses: readonly number[]): Uint8Array {
  const labels = name.split(".").flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  const flags = addresses.length === 0 ? 0x0100 : 0x8180;
  const records = addresses.flatMap((address) => [0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, ...bytesOf(address)]);
  const message = Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1, ...records]);
  put16(message, 0, id);
  put16(message, 2, flags);
  put16(message, 6, addresses.length);
  return message;
}
