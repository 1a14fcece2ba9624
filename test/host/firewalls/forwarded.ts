/**
 * The kernel as the judge of rules: two TAPs of a fresh network namespace, between which it forwards. What goes in at one
 * comes out at the other, or was dropped.
 */
import { closeSync, writeFileSync } from "node:fs";
import { setImmediate as immediate } from "node:timers/promises";
import type { LinuxLibc } from "../../../src/native/linux/libc.ts";
import { openTap, type TapDevice } from "../../../src/ports/tap-device.ts";
import { formatIPv4, parseIPv4 } from "../../../src/wire/address.ts";
import { addToSum, checksumOf } from "../../../src/wire/checksum.ts";
import { ip } from "../../support/namespace.ts";
import { run } from "../../support/tools.ts";
import { ICMP, IPV4, ipv4Frame, readFrames, TCP, writeFrame } from "./frames.ts";

export const TAP = "softnet3";
export const UPLINK = "eth0";
export const VM = parseIPv4("10.9.9.2")!;
/** Somebody far away: one whom rules of private networks do not know. */
export const FAR = parseIPv4("20.1.2.3")!;
const HOST = parseIPv4("192.0.2.1")!;
const GATEWAY = parseIPv4("10.9.9.1")!;
const MAC = "02:00:00:00:00:01";
const FAR_MAC = "02:00:00:00:00:02";
const MACS = { toMac: MAC.replaceAll(":", ""), fromMac: FAR_MAC.replaceAll(":", "") };
export const EXPOSED = 2222;
const INTERNAL = 22;
const SYN = 0x02;
const ACK = 0x10;

interface Segment {
  readonly from: number;
  readonly to: number;
  readonly source: number;
  readonly destination: number;
  readonly flags: number;
}

export class Forwarded {
  readonly #tap: TapDevice;
  readonly #uplink: TapDevice;
  #next = 20_000;
  #echo = 0;
  /** Connections that began while everything was open. */
  #begun: Segment[] = [];

  constructor(libc: LinuxLibc) {
    this.#tap = openTap(libc, "test", TAP);
    this.#uplink = openTap(libc, "test", UPLINK);
    const addresses = { [TAP]: "10.9.9.1/30", [UPLINK]: "192.0.2.1/24" };
    for (const [name, address] of Object.entries(addresses)) {
      writeFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, "0");
      writeFileSync(`/proc/sys/net/ipv4/conf/${name}/forwarding`, "1");
      ip("link", "set", name, "address", MAC, "up");
      ip("address", "add", address, "dev", name);
    }
    writeFileSync("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
    ip("neighbour", "replace", "10.9.9.2", "lladdr", FAR_MAC, "dev", TAP, "nud", "permanent");
    ip("neighbour", "replace", "192.0.2.2", "lladdr", FAR_MAC, "dev", UPLINK, "nud", "permanent");
    ip("route", "add", "default", "via", "192.0.2.2");
    // Its name is one that softnet takes for its own.
    run(
      "nft",
      `table ip softnet_test { chain pre { type nat hook prerouting priority -100; iifname ${UPLINK} tcp dport ${EXPOSED} ct state new dnat to ${formatIPv4(VM)}:${INTERNAL};\n}\n}\n`,
    );
  }

  close(): void {
    closeSync(this.#tap.fd);
    closeSync(this.#uplink.fd);
  }

  /** The VM begins connections, whose answers come later. To be called while the host lets everything through. */
  async begin(ports: readonly number[]): Promise<void> {
    this.#begun = ports.map((port) => this.#toFar(port));
    for (const segment of this.#begun) this.#put(this.#tap, segment);
    const passed = await this.#collect(this.#tap, this.#uplink);
    if (passed !== ports.length) throw new Error(`${passed} of ${ports.length} pass an open host`);
  }

  /** How many first segments of the VM's come out at the uplink. */
  async sent(ports: readonly number[]): Promise<number> {
    for (const port of ports) this.#put(this.#tap, this.#toFar(port));
    return await this.#collect(this.#tap, this.#uplink);
  }

  /** How many answers to the connections that were begun come out at the TAP. */
  async answers(): Promise<number> {
    for (const { from, to, source, destination } of this.#begun) {
      this.#put(this.#uplink, { from: to, to: from, source: destination, destination: source, flags: SYN | ACK });
    }
    return await this.#collect(this.#uplink, this.#tap);
  }

  /** How many of so many clients of the exposed port come out at the TAP. */
  async clients(count: number): Promise<number> {
    for (let client = 0; client < count; client++) {
      this.#put(this.#uplink, { from: FAR, to: HOST, source: this.#next++, destination: EXPOSED, flags: SYN });
    }
    return await this.#collect(this.#uplink, this.#tap);
  }

  #toFar(port: number): Segment {
    return { from: VM, to: FAR, source: this.#next++, destination: port, flags: SYN };
  }

  #put(device: TapDevice, { from, to, source, destination, flags }: Segment): void {
    const segment = Buffer.alloc(20);
    segment.writeUInt16BE(source, 0);
    segment.writeUInt16BE(destination, 2);
    segment.writeUInt32BE(1, 4);
    segment.writeUInt32BE((flags & ACK) === 0 ? 0 : 2, 8);
    segment.writeUInt16BE(0x5000 | flags, 12);
    segment.writeUInt16BE(4096, 14);
    const pseudo = Buffer.alloc(12);
    pseudo.writeUInt32BE(from, 0);
    pseudo.writeUInt32BE(to, 4);
    pseudo.writeUInt16BE(TCP, 8);
    pseudo.writeUInt16BE(segment.length, 10);
    const sum = addToSum(0, pseudo, 0, pseudo.length);
    segment.writeUInt16BE(checksumOf(addToSum(sum, segment, 0, segment.length)), 16);
    writeFrame(device.fd, ipv4Frame({ ...MACS, from, to }, TCP, segment));
  }

  /** Counts TCP segments that came out at `out`, when all that went in at `entry` before is through. */
  async #collect(entry: TapDevice, out: TapDevice): Promise<number> {
    const [from, to] = entry === this.#tap ? [VM, GATEWAY] : [parseIPv4("192.0.2.2")!, HOST];
    const echo = Buffer.alloc(8);
    echo[0] = 8;
    echo.writeUInt16BE(++this.#echo & 0xffff, 6);
    echo.writeUInt16BE(checksumOf(addToSum(0, echo, 0, echo.length)), 2);
    writeFrame(entry.fd, ipv4Frame({ ...MACS, from, to }, ICMP, echo));
    const deadline = performance.now() + 20_000;
    for (let replied = false; !replied; ) {
      if (performance.now() > deadline) throw new Error("the kernel does not reply to a ping");
      for (const frame of readFrames(entry.fd)) {
        if (isIPv4(frame, ICMP) && frame[34] === 0 && frame.readUInt16BE(40) === (this.#echo & 0xffff)) replied = true;
      }
      await immediate();
    }
    return readFrames(out.fd).filter((frame) => isIPv4(frame, TCP) && (frame[47]! & SYN) !== 0).length;
  }
}

function isIPv4(frame: Buffer, protocol: number): boolean {
  return frame.length >= 42 && frame.readUInt16BE(12) === IPV4 && frame[23] === protocol;
}
