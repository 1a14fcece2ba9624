/** A VM with its second guard, and packets with few words, for the literal tests. */
import assert from "node:assert/strict";
import type { GuardOptions } from "../../src/guard/types.ts";
import { be16, be32, dhcpMessage, type Ipv4Fields, ipv4Frame, join, udpPayload } from "./build.ts";
import { addressNumber } from "./bytes.ts";
import { OracleGuard } from "./guard.ts";

export const VM_MAC = "7e:1a:00:00:00:01";
export const PEER_MAC = "02:00:00:00:00:01";
export const VM = "192.168.64.5";
export const GATEWAY = "192.168.64.1";
export const SECOND = 1_000_000;

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const ACK = 16;

export type Ports = readonly [source: number, destination: number];

export const tcp = ([source, destination]: Ports, flags: number, data = 0): Uint8Array =>
  join(be16(source), be16(destination), be32(1000), be32(0xcafe0001), [0x50, flags], new Uint8Array(6 + data));
export const udp = ([source, destination]: Ports): Uint8Array => join(be16(source), be16(destination), be16(8), [0, 0]);
export const icmp = (type: number, identifier: number, rest: Uint8Array = new Uint8Array(0)): Uint8Array =>
  join([type, 0, 0, 0], be16(identifier), [0, 1], rest);

/** A VM with a static address and a known gateway, unless only a lease shall tell them. */
export class Talk {
  readonly guard: OracleGuard;
  time = 1_000 * SECOND;
  address = VM;
  last: Uint8Array = new Uint8Array(0);
  lastReason = "";

  constructor(options: Partial<GuardOptions> = {}, known: Partial<GuardOptions> = { address: VM, gateway: GATEWAY }) {
    this.guard = new OracleGuard({ macAddress: VM_MAC, ...known, ...options });
  }

  out(remote: string, protocol: number, payload: Uint8Array, fields: Partial<Ipv4Fields> = {}): string {
    this.last = this.#frame(this.address, remote, protocol, payload, {
      ethernetDestination: PEER_MAC,
      ethernetSource: VM_MAC,
      ...fields,
    });
    const verdict = this.guard.egress(this.last, this.time);
    this.lastReason = verdict.reason ?? verdict.verdict;
    return this.lastReason;
  }

  in(remote: string, protocol: number, payload: Uint8Array, fields: Partial<Ipv4Fields> = {}): string {
    const verdict = this.guard.ingress(
      this.#frame(remote, this.address, protocol, payload, {
        ethernetDestination: VM_MAC,
        ethernetSource: PEER_MAC,
        ...fields,
      }),
      this.time,
    );
    return verdict.reason ?? verdict.verdict;
  }

  /** The answer to the last frame from the VM, as hexadecimal digits. */
  answer(): string | undefined {
    const answer = this.guard.answer({ verdict: "drop", reason: this.lastReason });
    return answer && Buffer.from(answer).toString("hex");
  }

  /** A lease by INIT-REBOOT (RFC 2131 3.2) with this address, router and DNS servers. */
  lease(address: string, router: string, dns: readonly string[]): void {
    const xid = this.time;
    const message = (op: number, yiaddr: string, options: [number, readonly number[]][]) =>
      dhcpMessage({
        ...{ op, htype: 1, hlen: 6, hops: 0, xid, secs: 0, flags: 0, ciaddr: 0, siaddr: 0, giaddr: 0 },
        yiaddr: addressNumber(yiaddr),
        chaddr: VM_MAC,
        sname: new Uint8Array(0),
        file: new Uint8Array(0),
        cookie: 0x63825363,
        options: options.map(([code, data]) => ({ code, data })),
        tail: [255],
      });
    const number = (text: string) => be32(addressNumber(text));
    const packet = (ports: Ports, data: Uint8Array) =>
      udpPayload({
        ...{ source: 0, destination: 0, lengthError: 0, checksum: "zero" },
        sourcePort: ports[0],
        destinationPort: ports[1],
        data,
      });
    const asked: [number, readonly number[]][] = [
      [53, [3]],
      [50, number(address)],
    ];
    const request = packet([68, 67], message(1, "0.0.0.0", asked));
    const toAll = { ethernetDestination: "ff:ff:ff:ff:ff:ff", destination: 0xffffffff };
    assert.equal(this.out("255.255.255.255", UDP, request, { ...toAll, source: 0 }), "pass");
    const told = dns.flatMap(number);
    const reply = message(2, address, [
      [53, [5]],
      [54, number("192.168.64.2")],
      [51, be32(3600)],
      [1, number("255.255.255.0")],
      [3, number(router)],
      [6, told],
    ]);
    assert.equal(this.in("192.168.64.2", UDP, packet([67, 68], reply), toAll), "pass");
    this.address = address;
    this.time += 1;
  }

  #frame(source: string, destination: string, protocol: number, payload: Uint8Array, fields: Partial<Ipv4Fields>) {
    return ipv4Frame({
      ethernetDestination: "",
      ethernetSource: "",
      version: 4,
      options: new Uint8Array(0),
      totalLengthError: 0,
      identification: 7,
      flags: 0,
      offset: 0,
      ttl: 64,
      protocol,
      badChecksum: false,
      source: addressNumber(source),
      destination: addressNumber(destination),
      payload,
      padding: 0,
      ...fields,
    });
  }
}

export const TCP = 6;
export const UDP = 17;
export const ICMP = 1;
export const A = "1.1.1.1";
export const B = "8.8.8.8";

/** An ICMP error (time exceeded) about a UDP datagram; one byte of the quotation may be another. */
export function quoting(source: string, destination: string, ports: Ports, change = { at: 0, to: 0x45 }): Uint8Array {
  const quoted = join(
    [0x45, 0, 0, 28, 0, 7, 0, 0, 1, UDP, 0, 0],
    be32(addressNumber(source)),
    be32(addressNumber(destination)),
    udp(ports),
  );
  quoted[change.at] = change.to;
  return icmp(11, 0, quoted);
}
