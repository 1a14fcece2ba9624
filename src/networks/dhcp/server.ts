/**
 * Written by hand because a server on the host would listen on a socket of the host's, with leases to exhaust.
 *
 * The built-in DHCP server (RFC 2131), for a network of softnet's own that has room for one VM. It has one address to
 * give and one client to give it to, so it keeps no leases and no time: there is nothing to exhaust, and the same
 * question always gets the same answer. A frame goes in; a whole frame comes out, or nothing.
 *
 *   DISCOVER           OFFER; with rapid commit (RFC 4039) an ACK at once: where no other server can answer and no other
 *                      address can be given, asking again decides nothing
 *   REQUEST            of another server: nothing. Every address that it names is the VM's: ACK, else NAK, in all four
 *                      states alike (SELECTING, INIT-REBOOT, RENEWING, REBINDING): no other server could know better
 *   INFORM             ACK without address and lease time, to the VM's address alone
 *   RELEASE, DECLINE   nothing to note. Declined or not, the same address is offered the next time: there is only one
 *
 * The parser is the guard's own, and what it refuses is not answered: a message that can be read in two ways, another
 * chaddr than the VM's, fragments, wrong checksums (threat rows D14, D17, D21, D31). A reply has fixed options only; of
 * the guest's bytes it repeats xid, broadcast flag and client identifier, the other fields that RFC 2131 table 3 copies
 * being known beforehand (threat row D30).
 */
import { readDhcp } from "../../guard/ipv4/dhcp-form.ts";
import { PASS } from "../../guard/reasons.ts";
import { BROADCAST_MAC, LIMITED_BROADCAST } from "../../wire/address.ts";
import { put16, put32 } from "../../wire/bytes.ts";
import {
  BOOT_REPLY,
  BOOT_REQUEST,
  BROADCAST_FLAG,
  DHCP_ACK,
  DHCP_CLIENT_PORT,
  DHCP_DISCOVER,
  DHCP_INFORM,
  DHCP_NAK,
  DHCP_OFFER,
  DHCP_REQUEST,
  DHCP_SERVER_PORT,
  DhcpMessage,
  emitDhcp,
  MOST_DNS_SERVERS,
  OPTION_CLIENT_IDENTIFIER,
  OPTION_DNS_SERVER,
  OPTION_INTERFACE_MTU,
  OPTION_LEASE_TIME,
  OPTION_MESSAGE_TYPE,
  OPTION_RAPID_COMMIT,
  OPTION_REBINDING_TIME,
  OPTION_RENEWAL_TIME,
  OPTION_ROUTER,
  OPTION_SERVER_IDENTIFIER,
  OPTION_SUBNET_MASK,
} from "../../wire/dhcp.ts";
import { emitEthernet, TYPE_IPV4 } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { SOUND } from "../../wire/malformed.ts";
import { emitUdp } from "../../wire/udp.ts";

/** A lease that does not end (RFC 2131 3.3). */
export const INFINITE_LEASE = 0xffffffff;

/** Bytes of options that every client takes: an IP packet of 576 bytes (RFC 2131 2) without its headers and fixed fields. */
const MOST_OPTIONS = 576 - 28 - 240;

/** Addresses are numbers in host order, MAC addresses 48-bit numbers (wire/address.ts). */
export interface DhcpServerOptions {
  /** The network's gateway: it is the server (option 54), and the router unless `router` says no. */
  readonly gateway: number;
  /** From where replies come. */
  readonly gatewayMac: number;
  /** The one address that is given. */
  readonly address: number;
  readonly netmask: number;
  /** Whether the gateway is announced as router; default true, false on a network that leads nowhere. */
  readonly router?: boolean;
  /** In the order of preference; the first 8 are announced, as many as the guard opens to the VM. */
  readonly dnsServers: readonly number[];
  /** Seconds, 1 … 0xffffffff; default INFINITE_LEASE. */
  readonly leaseTime?: number;
  /** Seconds until the client renews (T1, option 58); default half of the lease, as RFC 2131 4.4.5 says. */
  readonly renewalTime?: number;
  /** Bytes; announced only if given. */
  readonly mtu?: number;
  /** The one client. */
  readonly vmMac: number;
}

type Option = readonly [code: number, value: Uint8Array];

export class DhcpServer {
  readonly #gateway: number;
  readonly #gatewayMac: number;
  readonly #address: number;
  readonly #vmMac: number;
  #dnsServers: readonly number[];
  /** Which server speaks. */
  readonly #identifier: Option;
  /** For how long: in what assigns an address. */
  readonly #lease: readonly Option[];
  /** How to use the network: in what assigns an address, and in the answer to INFORM; DNS servers come behind. */
  readonly #configuration: readonly Option[];
  readonly #message = new DhcpMessage();

  constructor(options: DhcpServerOptions) {
    this.#gateway = options.gateway;
    this.#gatewayMac = options.gatewayMac;
    this.#address = options.address;
    this.#vmMac = options.vmMac;
    this.#dnsServers = options.dnsServers.slice(0, MOST_DNS_SERVERS);
    this.#identifier = [OPTION_SERVER_IDENTIFIER, words(options.gateway)];
    this.#lease = leaseOptions(options.leaseTime ?? INFINITE_LEASE, options.renewalTime);
    const configuration: Option[] = [[OPTION_SUBNET_MASK, words(options.netmask)]];
    if (options.router ?? true) configuration.push([OPTION_ROUTER, words(options.gateway)]);
    if (options.mtu !== undefined) configuration.push([OPTION_INTERFACE_MTU, word16(options.mtu)]);
    this.#configuration = configuration;
  }

  /** Other DNS servers from now on: a client learns them when it renews. */
  set dnsServers(servers: readonly number[]) {
    this.#dnsServers = servers.slice(0, MOST_DNS_SERVERS);
  }

  /** Returns the reply to a frame as a whole frame; undefined when there is none. */
  answer(view: FrameView): Uint8Array | undefined {
    if (!this.#read(view)) return undefined;
    const { messageType, ciaddr, serverIdentifier, rapidCommit } = this.#message;
    if (serverIdentifier !== 0 && serverIdentifier !== this.#gateway) return undefined;
    if (messageType === DHCP_DISCOVER) return rapidCommit ? this.#assign(DHCP_ACK, true) : this.#assign(DHCP_OFFER);
    if (messageType === DHCP_REQUEST) return this.#answerRequest();
    // Who informs itself from another address is on another network, or lies.
    if (messageType === DHCP_INFORM && ciaddr === this.#address) return this.#reply(DHCP_ACK, 0, this.#configuration);
    return undefined;
  }

  /** Reads a frame from the VM's client to this server, or to any; false when it is nothing of the kind. */
  #read(view: FrameView): boolean {
    if (view.type !== TYPE_IPV4 || view.malformed !== SOUND) return false;
    if (view.protocol !== PROTOCOL_UDP || view.fragmentBits !== 0) return false;
    if (view.sourcePort !== DHCP_CLIENT_PORT || view.destinationPort !== DHCP_SERVER_PORT) return false;
    const { destination } = view;
    if (destination !== LIMITED_BROADCAST && destination !== this.#gateway) return false;
    if (readDhcp(view, BOOT_REQUEST, this.#vmMac, this.#message) !== PASS) return false;
    // There is no relay between a VM and its own network; an answer to one would go elsewhere (threat row D9).
    const { giaddr, hops, relayAgent } = this.#message;
    return giaddr === 0 && hops === 0 && !relayAgent;
  }

  /** RFC 2131 4.3.2: SELECTING and INIT-REBOOT name the address in option 50, RENEWING and REBINDING in ciaddr. */
  #answerRequest(): Uint8Array | undefined {
    const { ciaddr, requestedAddress } = this.#message;
    if (ciaddr === 0 && requestedAddress === 0) return undefined;
    const wrong = (named: number): boolean => named !== 0 && named !== this.#address;
    return wrong(ciaddr) || wrong(requestedAddress) ? this.#reply(DHCP_NAK, 0, []) : this.#assign(DHCP_ACK);
  }

  #assign(type: number, rapidCommit = false): Uint8Array {
    const options = [...this.#lease, ...this.#configuration];
    if (rapidCommit) options.push([OPTION_RAPID_COMMIT, new Uint8Array(0)]);
    return this.#reply(type, this.#address, options);
  }

  #reply(type: number, yiaddr: number, settings: readonly Option[]): Uint8Array {
    const { messageType, xid, flags, clientIdentifier, clientIdentifierLength } = this.#message;
    const refuses = type === DHCP_NAK;
    // The address that the client uses already: 0, or the one that is its own, else it was refused. In DISCOVER, which
    // has none (table 5), some clients name the one that they had before: there they hear nothing any more.
    const ciaddr = refuses || messageType === DHCP_DISCOVER ? 0 : this.#message.ciaddr;
    const options: Option[] = [[OPTION_MESSAGE_TYPE, Uint8Array.of(type)], this.#identifier, ...settings];
    // RFC 6842: echoed in each reply, a NAK too; one that is empty counts as none.
    if (clientIdentifierLength > 0) {
      options.push([OPTION_CLIENT_IDENTIFIER, clientIdentifier.slice(0, clientIdentifierLength)]);
    }
    if (!refuses) this.#addDnsServers(options);
    const payload = emitDhcp({
      op: BOOT_REPLY,
      xid,
      chaddr: this.#vmMac,
      flags: flags & BROADCAST_FLAG,
      ciaddr,
      yiaddr,
      options,
    });
    // RFC 2131 4.1. A client that uses its address hears what is sent there; one that was refused may have none, and
    // one without may be unable to receive unicast, as its flag says. (4.3.2: a NAK to no relay is broadcast.)
    const broadcast = refuses || (ciaddr === 0 && (flags & BROADCAST_FLAG) !== 0);
    const packet = emitUdp(
      {
        source: this.#gateway,
        destination: broadcast ? LIMITED_BROADCAST : this.#address,
        sourcePort: DHCP_SERVER_PORT,
        destinationPort: DHCP_CLIENT_PORT,
      },
      payload,
    );
    return emitEthernet(broadcast ? BROADCAST_MAC : this.#vmMac, this.#gatewayMac, TYPE_IPV4, packet);
  }

  /** As many as there is room for behind the other options: a client identifier may have 255 bytes. */
  #addDnsServers(options: Option[]): void {
    const end = 1;
    const used = options.reduce((sum, [, value]) => sum + 2 + value.length, end);
    const count = Math.min(this.#dnsServers.length, Math.floor((MOST_OPTIONS - used - 2) / 4));
    if (count > 0) options.push([OPTION_DNS_SERVER, words(...this.#dnsServers.slice(0, count))]);
  }
}

/** A lease that ends says when to renew it, at the times of RFC 2131 4.4.5; one that does not end has no such times. */
function leaseOptions(leaseTime: number, renewalTime = Math.floor(leaseTime * 0.5)): readonly Option[] {
  const lease: Option = [OPTION_LEASE_TIME, words(leaseTime)];
  if (leaseTime === INFINITE_LEASE) return [lease];
  return [
    lease,
    [OPTION_RENEWAL_TIME, words(renewalTime)],
    [OPTION_REBINDING_TIME, words(Math.floor(leaseTime * 0.875))],
  ];
}

/** 32-bit numbers in network byte order. */
function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  for (const [index, value] of values.entries()) put32(bytes, 4 * index, value);
  return bytes;
}

function word16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  put16(bytes, 0, value);
  return bytes;
}
