/**
 * The kernel as the judge of rules for bridged frames: a bridge with two TAPs as its ports, whose IPv4 passes the firewall
 * (br_netfilter). DHCP messages go in at one and come out at the other, or were dropped.
 */
import { closeSync, writeFileSync } from "node:fs";
import { setImmediate as immediate } from "node:timers/promises";
import type { LinuxLibc } from "../../../src/native/linux/libc.ts";
import { openTap, type TapDevice } from "../../../src/ports/tap-device.ts";
import { parseIPv4 } from "../../../src/wire/address.ts";
import { ip } from "../../support/namespace.ts";
import { run } from "../../support/tools.ts";
import { type Addresses, ipv4Frame, readFrames, UDP, writeFrame } from "./frames.ts";

export const TAP = "softnet3";
export const BRIDGE = "br0";
const PORT = "lan0";
const EVERYONE = "ffffffffffff";
const ALL = 0xffffffff;
const CLIENT = { fromMac: "020000000002", toMac: EVERYONE };
const SERVER = { fromMac: "020000000003", toMac: EVERYONE };
const VM_ADDRESS = parseIPv4("10.77.0.5")!;
const SERVER_ADDRESS = parseIPv4("10.77.0.1")!;
const ARP = 0x0806;

interface Ports {
  readonly from: number;
  readonly to: number;
}

export class Bridged {
  readonly #tap: TapDevice;
  readonly #port: TapDevice;
  #count = 0;
  #asked = 6000;

  constructor(libc: LinuxLibc) {
    ip("link", "add", BRIDGE, "type", "bridge");
    writeFileSync("/proc/sys/net/bridge/bridge-nf-call-iptables", "1");
    this.#tap = openTap(libc, "test", TAP);
    this.#port = openTap(libc, "test", PORT);
    for (const name of [TAP, PORT]) ip("link", "set", name, "master", BRIDGE, "up");
    ip("link", "set", BRIDGE, "up");
    // With a name that softnet takes for its own: connections are followed only where a rule asks.
    run("nft", "table ip softnet_test { chain pre { type filter hook prerouting priority 0; ct state new\n}\n}\n");
  }

  close(): void {
    closeSync(this.#tap.fd);
    closeSync(this.#port.fd);
  }

  /** Whether a DISCOVER of the VM's comes out at the other port. */
  discovers(): Promise<boolean> {
    return this.#passes(this.#tap, this.#port, { ...CLIENT, from: 0, to: ALL }, { from: 68, to: 67 });
  }

  /** Whether an OFFER to all comes out at the TAP. */
  offers(): Promise<boolean> {
    return this.#passes(this.#port, this.#tap, { ...SERVER, from: SERVER_ADDRESS, to: ALL }, { from: 67, to: 68 });
  }

  /** The VM begins something with another machine; whether it passes. */
  asks(): Promise<boolean> {
    const ports = { from: 5000, to: ++this.#asked };
    return this.#passes(this.#tap, this.#port, { ...CLIENT, from: VM_ADDRESS, to: SERVER_ADDRESS }, ports);
  }

  /** Whether the answer to the last of these passes. */
  answers(): Promise<boolean> {
    const ports = { from: this.#asked, to: 5000 };
    return this.#passes(this.#port, this.#tap, { ...SERVER, from: SERVER_ADDRESS, to: VM_ADDRESS }, ports);
  }

  async #passes(entry: TapDevice, out: TapDevice, addresses: Addresses, ports: Ports): Promise<boolean> {
    const datagram = Buffer.alloc(8 + 4); // without a checksum, and with a count to know it by
    datagram.writeUInt16BE(ports.from, 0);
    datagram.writeUInt16BE(ports.to, 2);
    datagram.writeUInt16BE(datagram.length, 4);
    datagram.writeUInt32BE(++this.#count, 8);
    writeFrame(entry.fd, ipv4Frame(addresses, UDP, datagram));
    writeFrame(entry.fd, this.#last(addresses.fromMac));
    const deadline = performance.now() + 20_000;
    const found: Buffer[] = [];
    for (;;) {
      found.push(...readFrames(out.fd));
      if (found.some((frame) => frame.readUInt16BE(12) === ARP && frame.readUInt32BE(38) === this.#count)) break;
      if (performance.now() > deadline) throw new Error("the bridge does not pass ARP on");
      await immediate();
    }
    return found.some((frame) => frame[23] === UDP && frame.length >= 46 && frame.readUInt32BE(42) === this.#count);
  }

  /** An ARP request for an address that no other frame has: bridged behind the datagram, and never filtered. */
  #last(mac: string): Buffer {
    const frame = Buffer.alloc(42);
    frame.write(`ffffffffffff${mac}0806000108000604${"0001"}${mac}`, "hex");
    frame.writeUInt32BE(this.#count, 38);
    return frame;
  }
}
