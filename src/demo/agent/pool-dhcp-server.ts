/**
 * The DHCP server of the demo's bridge. Where an attack depends on it, it behaves as common servers do: it identifies a
 * client by its client identifier, else by its hardware address; an offered address is reserved for its client; and an
 * offer is delayed, because the server first checks whether the address is in use.
 */
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { openPacketSocket, type RawSocket } from "../../native/linux/packet-socket.ts";
import { BROADCAST_MAC, LIMITED_BROADCAST } from "../../wire/address.ts";
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  BROADCAST_FLAG,
  DHCP_ACK,
  DHCP_CLIENT_PORT,
  DHCP_DISCOVER,
  DHCP_OFFER,
  DHCP_RELEASE,
  DHCP_REQUEST,
  DHCP_SERVER_PORT,
  DhcpMessage,
  emitDhcp,
} from "../../wire/dhcp.ts";
import { serverOptions } from "../dhcp-options.ts";
import { readUdp, udpFrame } from "../frames.ts";

/** Milliseconds until an offer: the time to find out that an address is not in use. */
const OFFER_DELAY = 100;

export interface DhcpServerPlan {
  readonly link: string;
  readonly mac: number;
  readonly address: number;
  readonly netmask: number;
  readonly poolFirst: number;
  readonly poolSize: number;
  readonly leaseSeconds: number;
}

export class PoolDhcpServer {
  readonly #plan: DhcpServerPlan;
  readonly #socket: RawSocket;
  readonly #message = new DhcpMessage();
  /** Address by client, held from the first offer on. */
  readonly #leases = new Map<string, number>();

  constructor(libc: LinuxLibc, plan: DhcpServerPlan) {
    this.#plan = plan;
    this.#socket = openPacketSocket(libc, plan.link);
    this.#socket.listen((frame) => this.#hear(frame));
  }

  /** Number of free addresses. */
  get free(): number {
    return this.#plan.poolSize - this.#leases.size;
  }

  /** Removes all leases, as an administrator might do. */
  forget(): void {
    this.#leases.clear();
  }

  #hear(frame: Uint8Array): void {
    const message = this.#message;
    const udp = readUdp(frame);
    if (udp?.destinationPort !== DHCP_SERVER_PORT || !message.read(frame, udp.at, udp.length)) return;
    if (message.op !== BOOT_REQUEST) return;
    const client = clientOf(message);
    if (message.messageType === DHCP_DISCOVER) {
      const address = this.#leases.get(client) ?? this.#unused();
      if (address === undefined) return;
      this.#leases.set(client, address);
      setTimeout(this.#answer, OFFER_DELAY, DHCP_OFFER, address, message.xid, message.chaddr, message.flags);
    } else if (message.messageType === DHCP_REQUEST) {
      const address = this.#leases.get(client);
      const ours = message.serverIdentifier === 0 || message.serverIdentifier === this.#plan.address;
      const wanted = message.requestedAddress || message.ciaddr;
      if (address === undefined || !ours || wanted !== address) return;
      this.#answer(DHCP_ACK, address, message.xid, message.chaddr, message.flags);
    } else if (message.messageType === DHCP_RELEASE) {
      this.#leases.delete(client);
    }
  }

  #unused(): number | undefined {
    const taken = new Set(this.#leases.values());
    for (let index = 0; index < this.#plan.poolSize; index++) {
      if (!taken.has(this.#plan.poolFirst + index)) return this.#plan.poolFirst + index;
    }
    return undefined;
  }

  readonly #answer = (type: number, address: number, xid: number, chaddr: number, flags: number): void => {
    const { mac, address: server, netmask, leaseSeconds } = this.#plan;
    const broadcast = (flags & BROADCAST_FLAG) !== 0;
    const options = serverOptions(type, { server, netmask, router: server, dns: server, leaseSeconds });
    this.#socket.send(
      udpFrame(
        { mac, address: server, port: DHCP_SERVER_PORT },
        {
          mac: broadcast ? BROADCAST_MAC : chaddr,
          address: broadcast ? LIMITED_BROADCAST : address,
          port: DHCP_CLIENT_PORT,
        },
        emitDhcp({ op: BOOT_REPLY, xid, chaddr, flags, yiaddr: address, options }),
      ),
    );
  };
}

function clientOf(message: DhcpMessage): string {
  if (message.clientIdentifierLength === 0) return `card ${message.chaddr}`;
  return `identifier ${Buffer.from(message.clientIdentifier.subarray(0, message.clientIdentifierLength)).toString("hex")}`;
}
