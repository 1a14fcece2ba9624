/**
 * A DHCP client (RFC 2131): DISCOVER, OFFER, REQUEST, ACK, over a raw socket, since its machine has no address yet. It
 * takes the first offer, as clients do, and returns the lease; its caller configures the address.
 */
import { randomInt } from "node:crypto";
import type { LinuxLibc } from "../../native/linux/libc.ts";
import { openPacketSocket } from "../../native/linux/packet-socket.ts";
import { prefixLengthOf } from "../../policy/rule.ts";
import { BROADCAST_MAC, formatIPv4, LIMITED_BROADCAST } from "../../wire/address.ts";
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  BROADCAST_FLAG,
  DHCP_ACK,
  DHCP_CLIENT_PORT,
  DHCP_DISCOVER,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_REQUEST,
  DHCP_SERVER_PORT,
  DhcpMessage,
  emitDhcp,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_MESSAGE_TYPE,
  OPTION_PARAMETER_LIST,
  OPTION_REQUESTED_ADDRESS,
  OPTION_SERVER_IDENTIFIER,
} from "../../wire/dhcp.ts";
import { fourBytes } from "../dhcp-options.ts";
import { readUdp, udpFrame } from "../frames.ts";

const RETRANSMIT = 400; // milliseconds; a real client starts at 4 s, and this network has no distances

export interface LeaseRequest {
  readonly link: string;
  /** The card's address, from which frames are sent. */
  readonly mac: number;
  /** The address that the client says it has; default: the card's. */
  readonly chaddr?: number;
  /** Option 61; default none. */
  readonly clientIdentifier?: Uint8Array;
  /** Milliseconds until it gives up. */
  readonly timeout: number;
}

/** A server's lease. Addresses in dotted decimal; empty if not given. */
export interface LeaseGiven {
  readonly address: string;
  /** 0 if no netmask was given. */
  readonly prefixLength: number;
  readonly server: string;
  readonly router: string;
  readonly dns: string;
}

/** Asks for a lease; returns null when no server gave one in time, or one refused. */
export function askForLease(libc: LinuxLibc, request: LeaseRequest): Promise<LeaseGiven | null> {
  const socket = openPacketSocket(libc, request.link);
  const xid = randomInt(2 ** 32);
  const chaddr = request.chaddr ?? request.mac;
  const message = new DhcpMessage();
  let offered: { address: number; server: number } | undefined;

  const transmit = () => {
    const options: [number, Uint8Array][] = [
      [OPTION_MESSAGE_TYPE, Uint8Array.of(offered === undefined ? DHCP_DISCOVER : DHCP_REQUEST)],
    ];
    if (request.clientIdentifier) options.push([OPTION_CLIENT_IDENTIFIER, request.clientIdentifier]);
    if (offered !== undefined) {
      options.push([OPTION_REQUESTED_ADDRESS, fourBytes(offered.address)]);
      options.push([OPTION_SERVER_IDENTIFIER, fourBytes(offered.server)]);
    }
    options.push([OPTION_PARAMETER_LIST, Uint8Array.of(1, 3, 6)]);
    // With another chaddr the client must ask for a broadcast, or the answer goes to that address.
    const flags = chaddr === request.mac ? 0 : BROADCAST_FLAG;
    socket.send(
      udpFrame(
        { mac: request.mac, address: 0, port: DHCP_CLIENT_PORT },
        { mac: BROADCAST_MAC, address: LIMITED_BROADCAST, port: DHCP_SERVER_PORT },
        emitDhcp({ op: BOOT_REQUEST, xid, chaddr, flags, options }),
      ),
    );
  };

  return new Promise((resolve) => {
    const repeat = setInterval(transmit, RETRANSMIT);
    const end = (given: LeaseGiven | null) => {
      clearInterval(repeat);
      clearTimeout(giveUp);
      socket.close();
      resolve(given);
    };
    const giveUp = setTimeout(end, request.timeout, null);
    socket.listen((frame) => {
      const udp = readUdp(frame);
      if (udp?.destinationPort !== DHCP_CLIENT_PORT || !message.read(frame, udp.at, udp.length)) return;
      if (message.op !== BOOT_REPLY || message.xid !== xid || message.chaddr !== chaddr) return;
      if (offered === undefined) {
        if (message.messageType !== DHCP_OFFER) return;
        offered = { address: message.yiaddr, server: message.serverIdentifier };
        transmit();
      } else if (message.serverIdentifier === offered.server) {
        if (message.messageType === DHCP_NAK) end(null);
        if (message.messageType === DHCP_ACK) end(leaseOf(message));
      }
    });
    transmit();
  });
}

/** What an ACK gives. */
export function leaseOf(message: DhcpMessage): LeaseGiven {
  const told = (address: number) => (address === 0 ? "" : formatIPv4(address));
  return {
    address: formatIPv4(message.yiaddr),
    prefixLength: prefixLengthOf(message.netmask) ?? 0,
    server: told(message.serverIdentifier),
    router: told(message.router),
    dns: message.dnsServerCount > 0 ? formatIPv4(message.dnsServer(0)) : "",
  };
}
