/**
 * Both ends of an inspected connection, of either address family, as its SYN named them: what softnet needs to send a segment in
 * the name of either side after the SYN is gone.
 */
import { ETHERNET_HEADER, putEthernet, SHORTEST_FRAME, TYPE_IPV4, TYPE_IPV6 } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { IPV4_HEADER, PROTOCOL_TCP, putIPv4Header } from "../../wire/ipv4.ts";
import { IPV6_HEADER, putIPv6HeaderOfWords } from "../../wire/ipv6.ts";
import { putTcp, putTcp6, TCP_HEADER } from "../../wire/tcp.ts";

/** Bytes of a segment without data, at most. */
export const LONGEST_SEGMENT = ETHERNET_HEADER + IPV6_HEADER + TCP_HEADER;

export class Endpoints {
  #ipv6 = false;
  #vmMac = 0;
  #remoteMac = 0;
  /** IPv4 addresses, host order. */
  #own = 0;
  #remote = 0;
  readonly #own6 = new Int32Array(4);
  readonly #remote6 = new Int32Array(4);
  #ownPort = 0;
  #remotePort = 0;

  /** Takes over the ends of a segment from the VM. */
  read(view: FrameView): void {
    this.#ipv6 = view.type === TYPE_IPV6;
    this.#vmMac = view.sourceMac;
    this.#remoteMac = view.destinationMac;
    this.#own = view.source;
    this.#remote = view.destination;
    this.#own6.set(view.source6);
    this.#remote6.set(view.destination6);
    this.#ownPort = view.sourcePort;
    this.#remotePort = view.destinationPort;
  }

  /** Where a segment's data stands in a frame that begins at `at`. */
  dataAt(at: number): number {
    return at + ETHERNET_HEADER + (this.#ipv6 ? IPV6_HEADER : IPV4_HEADER) + TCP_HEADER;
  }

  /** Writes a segment without data from the VM to the other side to `out` at `at`; returns the frame's length. */
  putToRemote(out: Uint8Array, at: number, sequence: number, flags: number): number {
    const to = at + ETHERNET_HEADER;
    if (this.#ipv6) {
      putIPv6HeaderOfWords(out, to, TCP_HEADER, PROTOCOL_TCP, this.#own6, 0, this.#remote6, 0);
      putTcp6(out, to, this.#ownPort, this.#remotePort, sequence, 0, flags);
    } else {
      putIPv4Header(out, to, IPV4_HEADER + TCP_HEADER, PROTOCOL_TCP, this.#own, this.#remote);
      putTcp(out, to, this.#ownPort, this.#remotePort, sequence, 0, flags);
    }
    return this.#finish(out, at, 0, this.#remoteMac, this.#vmMac);
  }

  /** Writes a segment from the other side to the VM around `data` bytes, which stand at `dataAt(at)`; returns the frame's length. */
  putToVm(out: Uint8Array, at: number, sequence: number, acknowledgement: number, flags: number, data: number): number {
    const to = at + ETHERNET_HEADER;
    if (this.#ipv6) {
      putIPv6HeaderOfWords(out, to, TCP_HEADER + data, PROTOCOL_TCP, this.#remote6, 0, this.#own6, 0);
      putTcp6(out, to, this.#remotePort, this.#ownPort, sequence, acknowledgement, flags, data);
    } else {
      putIPv4Header(out, to, IPV4_HEADER + TCP_HEADER + data, PROTOCOL_TCP, this.#remote, this.#own);
      putTcp(out, to, this.#remotePort, this.#ownPort, sequence, acknowledgement, flags, data);
    }
    return this.#finish(out, at, data, this.#vmMac, this.#remoteMac);
  }

  #finish(out: Uint8Array, at: number, data: number, to: number, from: number): number {
    putEthernet(out, at, to, from, this.#ipv6 ? TYPE_IPV6 : TYPE_IPV4);
    const length = this.dataAt(0) + data;
    if (length >= SHORTEST_FRAME) return length;
    out.fill(0, at + length, at + SHORTEST_FRAME);
    return SHORTEST_FRAME;
  }
}
