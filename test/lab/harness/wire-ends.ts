/**
 * A VM's TAP that the test itself holds, as a hypervisor does, with softnet attached to it, and a far machine's TAP on the
 * same bridge: frames go in with any virtio-net header, and come out finished.
 */
import { allocate } from "../../../src/native/memory.ts";
import { allocateLargeSlab } from "../../../src/ports/slab.ts";
import { openVmTap, type TapPort } from "../../../src/ports/tap.ts";
import { ADDRESS, GLOBAL, udp } from "../../guard/support.ts";
import { clearIdentification } from "../../lane/support/identification.ts";
import { type Offered, turned } from "../../ports/offload-talk.ts";
import { within } from "../../support/namespace.ts";
import { libc } from "../../support/sockets.ts";
import type { Namespace } from "./netns.ts";
import { until } from "./program.ts";

const BRIDGE = "wires";
export const VM_TAP = "wire-vm";
const FAR_TAP = "wire-far";
/** Bytes of the virtio-net header. */
const HEADER = 10;
/** Of what marks that a frame has arrived or not. */
const FIRST_PORT = 20_000;
/** Where Ethernet has its type, and IPv6 the number of what is behind it. */
const TYPE = 12;
const NEXT_HEADER = 20;

export class WireEnds {
  readonly #vm: TapPort;
  readonly #far: TapPort;
  readonly #slab = allocateLargeSlab();
  readonly #memory = allocate(1 << 17);
  #marks = 0;

  constructor(namespace: Namespace) {
    namespace.sysctl({ "net/ipv6/conf/default/disable_ipv6": "1" });
    [this.#vm, this.#far] = within(namespace.name, () =>
      [VM_TAP, FAR_TAP].map((name) => openVmTap(libc, "--vm-tap", name, Uint8Array.of(2, 0, 0, 0, 2, name.length))),
    ) as [TapPort, TapPort];
    namespace.ipBatch([
      `link add ${BRIDGE} type bridge forward_delay 0 stp_state 0 mcast_snooping 0`,
      ...[VM_TAP, FAR_TAP].map((name) => `link set ${name} master ${BRIDGE} txqueuelen 1000 up`),
      `link set ${BRIDGE} up`,
    ]);
  }

  /**
   * Offers a frame; returns what came out at the other end before a datagram that was sent behind it, in hexadecimal, with
   * IPv6's identification 0: all but what softnet asks by itself.
   */
  async pass({ direction, header, frame }: Offered): Promise<string[]> {
    const fromVm = direction === "egress";
    const [from, to] = fromVm ? [this.#vm, this.#far] : [this.#far, this.#vm];
    this.#write(from, header, frame);
    // No flow of the lane's, so it comes through the relay, and so behind whatever took either way. No ping: the guard
    // passes a hundred of them a second.
    const datagram = udp(FIRST_PORT + this.#marks++, 443, { source: ADDRESS, destination: GLOBAL });
    const mark = fromVm ? datagram : turned(datagram);
    const marked = Buffer.from(mark).toString("hex");
    this.#write(from, new Uint8Array(HEADER), mark);
    const arrived: string[] = [];
    await until("the datagram arrives", () => {
      arrived.push(...this.#drain(to));
      return arrived.includes(marked) || undefined;
    });
    return arrived.slice(0, arrived.indexOf(marked));
  }

  #write(port: TapPort, header: Uint8Array, frame: Uint8Array): void {
    this.#memory.bytes.set(header);
    this.#memory.bytes.set(frame, HEADER);
    // The kernel refuses some headers by itself.
    libc.write(port.device.fd, this.#memory.address, HEADER + frame.length);
  }

  #drain(port: TapPort): string[] {
    const { batch } = this.#slab;
    const frames: string[] = [];
    while (port.receive(batch) > 0) {
      for (let index = 0; index < batch.count; index++) {
        const at = batch.offset[index]!;
        const frame = Buffer.from(batch.bytes.subarray(at, at + batch.length[index]!));
        if (!isQuestion(frame)) frames.push(clearIdentification(frame).toString("hex"));
      }
    }
    return frames;
  }

  close(): void {
    this.#vm.close();
    this.#far.close();
    this.#slab.free();
    this.#memory.free();
  }
}

/** ARP, or neighbour discovery. */
function isQuestion(frame: Buffer): boolean {
  const type = frame.readUInt16BE(TYPE);
  return type === 0x0806 || (type === 0x86dd && frame[NEXT_HEADER] === 58);
}
