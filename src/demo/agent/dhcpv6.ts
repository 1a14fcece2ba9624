/**
 * DHCPv6 (RFC 8415), as far as the demo needs it: a guest that has its address by SLAAC asks for DNS servers by an
 * INFORMATION-REQUEST and takes the first REPLY, as clients do. The same server is honest or a rogue by its plan.
 */
import { randomInt } from "node:crypto";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { openPacketSocket, type RawSocket } from "../../native/linux/packet-socket.ts";
import { putMac } from "../../wire/address.ts";
import {
  DHCPV6_CLIENT_ID,
  DHCPV6_CLIENT_PORT,
  DHCPV6_DNS,
  DHCPV6_INFORMATION_REQUEST,
  DHCPV6_REPLY,
  DHCPV6_SERVER_ID,
  DHCPV6_SERVER_PORT,
  DHCPV6_SERVERS,
  Dhcpv6Message,
} from "../../wire/dhcpv6.ts";
import { dhcpv6Option, emitDhcpv6 } from "../../wire/dhcpv6-emit.ts";
import { type Endpoint6, emitUdpFrame6 } from "../../wire/frame-6.ts";
import { formatIPv6, putIPv6 } from "../../wire/ipv6-address.ts";
import { readUdp6 } from "../frames6.ts";

const GUESS_EVERY = 100; // milliseconds
const RETRANSMIT = 400; // milliseconds

export interface Dhcpv6Plan {
  readonly link: string;
  /** Its card and link-local address. */
  readonly self: Endpoint6;
  /** The DNS server that it announces. */
  readonly dns: bigint;
  /** Milliseconds until it answers. */
  readonly delay: number;
  /** Of a rogue: whom it answers unasked. */
  readonly victim?: Endpoint6;
}

export class Dhcpv6Server {
  readonly #plan: Dhcpv6Plan;
  readonly #socket: RawSocket;
  readonly #guessing: NodeJS.Timeout | undefined;
  readonly #message = new Dhcpv6Message();

  constructor(libc: LinuxLibc, plan: Dhcpv6Plan) {
    this.#plan = plan;
    this.#socket = openPacketSocket(libc, plan.link);
    this.#socket.listen((frame) => this.#hear(frame));
    const { victim } = plan;
    if (victim === undefined) return;
    const guess = () => this.#answer(victim, randomInt(2 ** 24), identifierOf(victim.mac));
    this.#guessing = setInterval(guess, GUESS_EVERY);
    guess();
  }

  close(): void {
    clearInterval(this.#guessing);
    this.#socket.close();
  }

  #hear(frame: Uint8Array): void {
    const message = this.#message;
    const udp = readUdp6(frame);
    if (udp?.destinationPort !== DHCPV6_SERVER_PORT || !message.read(frame, udp.at, udp.length)) return;
    if (message.type !== DHCPV6_INFORMATION_REQUEST) return;
    const { xid, client } = message;
    if (this.#plan.delay === 0) this.#answer(udp.source, xid, client);
    else setTimeout(() => this.#answer(udp.source, xid, client), this.#plan.delay);
  }

  #answer(to: Endpoint6, xid: number, client: Uint8Array): void {
    const { self, dns } = this.#plan;
    const servers = new Uint8Array(16);
    putIPv6(servers, 0, dns);
    const options = [dhcpv6Option(DHCPV6_CLIENT_ID, client), dhcpv6Option(DHCPV6_SERVER_ID, identifierOf(self.mac))];
    const payload = emitDhcpv6(DHCPV6_REPLY, xid, [...options, dhcpv6Option(DHCPV6_DNS, servers)]);
    this.#socket.send(
      emitUdpFrame6({ ...self, port: DHCPV6_SERVER_PORT }, { ...to, port: DHCPV6_CLIENT_PORT }, payload),
    );
  }
}

export interface DnsQuestion {
  readonly link: string;
  readonly self: Endpoint6;
  /** Milliseconds until it gives up. */
  readonly timeout: number;
}

/** The DNS server of the first REPLY; null when none came in time. */
export function askForDns6(libc: LinuxLibc, { link, self, timeout }: DnsQuestion): Promise<string | null> {
  const socket = openPacketSocket(libc, link);
  const xid = randomInt(2 ** 24);
  const message = new Dhcpv6Message();
  const payload = emitDhcpv6(DHCPV6_INFORMATION_REQUEST, xid, [dhcpv6Option(DHCPV6_CLIENT_ID, identifierOf(self.mac))]);
  const question = emitUdpFrame6(
    { ...self, port: DHCPV6_CLIENT_PORT },
    { ...DHCPV6_SERVERS, port: DHCPV6_SERVER_PORT },
    payload,
  );
  return new Promise((resolve) => {
    const repeat = setInterval(() => socket.send(question), RETRANSMIT);
    const end = (server: string | null) => {
      clearInterval(repeat);
      clearTimeout(giveUp);
      socket.close();
      resolve(server);
    };
    const giveUp = setTimeout(end, timeout, null);
    socket.listen((frame) => {
      const udp = readUdp6(frame);
      if (udp?.destinationPort !== DHCPV6_CLIENT_PORT || !message.read(frame, udp.at, udp.length)) return;
      if (message.type !== DHCPV6_REPLY || message.xid !== xid || message.dnsServers === 0) return;
      end(formatIPv6(message.dnsServerOf(0)));
    });
    socket.send(question);
  });
}

/** A DUID of the card's address (RFC 8415 11.4), on Ethernet. */
function identifierOf(mac: number): Uint8Array {
  const identifier = Uint8Array.of(0, 3, 0, 1, 0, 0, 0, 0, 0, 0);
  putMac(identifier, 4, mac);
  return identifier;
}
