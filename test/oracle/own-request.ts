/** The copy of the VM's REBINDING that softnet sends as INIT-REBOOT ("A request of softnet's own"). */
import { be16, be32, ipv4Frame, join, udpPayload } from "./build.ts";
import { uint16 } from "./bytes.ts";

const SECOND = 1_000_000;
const LONGEST = 640;

export class OwnRequest {
  readonly #asks: boolean;
  #due: Uint8Array | undefined;
  #lastTaken: number | undefined;

  constructor(asks: boolean) {
    this.#asks = asks;
  }

  /** A REBINDING for an unknown address passed. Whether a copy is due that was not. */
  begin(vmMac: string, message: Uint8Array, address: number, now: number): boolean {
    if (!this.#asks || this.#due !== undefined) return false;
    if (this.#lastTaken !== undefined && now - this.#lastTaken < 4 * SECOND) return false;
    const frame = copyOf(vmMac, message, address);
    if (frame.length > LONGEST) return false;
    this.#due = frame;
    return true;
  }

  take(now: number): Uint8Array | undefined {
    const frame = this.#due;
    this.#due = undefined;
    if (frame !== undefined) this.#lastTaken = now;
    return frame;
  }

  /** Whether one was due. */
  forget(): boolean {
    const was = this.#due !== undefined;
    this.#due = undefined;
    return was;
  }
}

function copyOf(vmMac: string, message: Uint8Array, address: number): Uint8Array {
  const copy = join(message.slice(0, 240), [50, 4], be32(address), message.slice(240));
  copy.set(be16((uint16(copy, 10) % 0x8000) + 0x8000), 10);
  copy.set([0, 0, 0, 0], 12);
  return ipv4Frame({
    ethernetDestination: "ff:ff:ff:ff:ff:ff",
    ethernetSource: vmMac,
    version: 4,
    options: new Uint8Array(0),
    totalLengthError: 0,
    identification: 0,
    flags: 2,
    offset: 0,
    ttl: 64,
    protocol: 17,
    badChecksum: false,
    source: 0,
    destination: 0xffffffff,
    payload: udpPayload({
      source: 0,
      destination: 0xffffffff,
      sourcePort: 68,
      destinationPort: 67,
      lengthError: 0,
      checksum: "right",
      data: copy,
    }),
    padding: 0,
  });
}
