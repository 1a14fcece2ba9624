/**
 * A REQUEST of softnet's own, in the VM's name, behind a softnet that does not know the VM's address. A server that sends
 * its ACK through its host's kernel (dnsmasq, udhcpd) looks by ARP for the MAC of a client that is REBINDING, and the VM
 * may not reply for an address that is not known as its own (threat row D6). So its question is asked once more as
 * INIT-REBOOT with the broadcast flag (RFC 2131 4.1, 4.3.2), whose ACK needs no ARP. docs/guard.md has the rules.
 */
import { BROADCAST_MAC, LIMITED_BROADCAST } from "../../wire/address.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, putAsInitReboot, REQUESTED_ADDRESS_LENGTH } from "../../wire/dhcp.ts";
import { ETHERNET_HEADER, putEthernet, TYPE_IPV4 } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { IPV4_HEADER, PROTOCOL_UDP, putIPv4Header } from "../../wire/ipv4.ts";
import { putUdpHeader, UDP_HEADER } from "../../wire/udp.ts";

/** Bytes of the longest frame; what would be longer is not sent. */
export const LONGEST_REQUEST = 640;

const SPACING = 4_000_000;
const PACKET = ETHERNET_HEADER;
const DATAGRAM = PACKET + IPV4_HEADER;
const MESSAGE = DATAGRAM + UDP_HEADER;
const NEVER = Number.NEGATIVE_INFINITY;
const NOT_DUE = Number.POSITIVE_INFINITY;

export class OwnRequest {
  readonly #mac: number;
  readonly #asks: boolean;
  readonly #frame = new Uint8Array(LONGEST_REQUEST);
  #length = 0;
  /** Microseconds, in a typed array as the guard's clock is: when it was made (NOT_DUE = none), when the last was taken. */
  readonly #times = Float64Array.of(NOT_DUE, NEVER);

  /** `mac`: the VM's. `asks`: the requests are sent. */
  constructor(mac: number, asks: boolean) {
    this.#mac = mac;
    this.#asks = asks;
  }

  /** When the next one is due, microseconds; Infinity = none is. */
  get due(): number {
    return this.#times[0]!;
  }

  /** The VM's REBINDING in this frame passes: makes its copy, unless one is due or was taken just now. */
  make(view: FrameView, now: number): void {
    if (!this.#asks || this.due !== NOT_DUE || now - this.#times[1]! < SPACING) return;
    const message = view.udpLength - UDP_HEADER;
    const length = MESSAGE + message + REQUESTED_ADDRESS_LENGTH;
    if (length > LONGEST_REQUEST) return;
    const frame = this.#frame;
    putEthernet(frame, 0, BROADCAST_MAC, this.#mac, TYPE_IPV4);
    putIPv4Header(frame, PACKET, length - PACKET, PROTOCOL_UDP, 0, LIMITED_BROADCAST);
    putAsInitReboot(view.bytes, view.transport + UDP_HEADER, message, frame, MESSAGE);
    putUdpHeader(frame, PACKET, length - DATAGRAM, DHCP_CLIENT_PORT, DHCP_SERVER_PORT);
    this.#length = length;
    this.#times[0] = now;
  }

  /** The VM is bound, or has given up. */
  drop(): void {
    this.#times[0] = NOT_DUE;
  }

  /** Writes the one that is due to `out` at `at` and returns its length; 0 = none is. */
  take(out: Uint8Array, at: number, now: number): number {
    if (this.due === NOT_DUE) return 0;
    this.#times[0] = NOT_DUE;
    this.#times[1] = now;
    for (let index = 0; index < this.#length; index++) out[at + index] = this.#frame[index]!;
    return this.#length;
  }
}
