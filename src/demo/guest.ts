/**
 * A guest: a namespace with a network card and the kernel's own TCP/IP stack. Without softnet the card is one end of a
 * veth pair to the bridge; with softnet it is the TAP that softnet reads (cards.ts).
 */
import { putMac } from "../wire/address.ts";
import type { LeaseGiven } from "./agent/dhcp-client.ts";
import type { Agent } from "./agent-process.ts";
import type { Namespace } from "./namespace.ts";
import { ipv4, mac } from "./plan.ts";
import type { Softnet } from "./softnet.ts";

const TIMEOUT = 1_500; // milliseconds for a lease
const PING_TIMEOUT = 500; // milliseconds
const RESTORE_TRIES = 5;

/** The true gateway, whatever an attack made the guest believe. */
export interface Gateway {
  readonly address: string;
  readonly mac: string;
}

export interface GuestParts {
  readonly name: string;
  readonly namespace: Namespace;
  readonly agent: Agent;
  /** The card's name in the namespace. */
  readonly link: string;
  readonly mac: string;
  readonly gateway: Gateway;
  /** Absent in front of an unprotected guest. */
  readonly softnet?: Softnet | undefined;
}

export class Guest {
  readonly name: string;
  readonly namespace: Namespace;
  readonly agent: Agent;
  readonly link: string;
  readonly mac: string;
  readonly gateway: Gateway;
  readonly softnet: Softnet | undefined;
  #lease: LeaseGiven | undefined;

  constructor(parts: GuestParts) {
    this.name = parts.name;
    this.namespace = parts.namespace;
    this.agent = parts.agent;
    this.link = parts.link;
    this.mac = parts.mac;
    this.gateway = parts.gateway;
    this.softnet = parts.softnet;
  }

  /** The lease from DHCP. */
  get lease(): LeaseGiven {
    if (this.#lease === undefined) throw new Error(`${this.name} has no lease`);
    return this.#lease;
  }

  get address(): string {
    return this.lease.address;
  }

  /** DHCP's option 61, as most clients fill it in: hardware type 1 and the card's address (RFC 2132 9.14). */
  get clientIdentifier(): Uint8Array {
    const identifier = Uint8Array.of(1, 0, 0, 0, 0, 0, 0);
    putMac(identifier, 1, mac(this.mac));
    return identifier;
  }

  /** Asks for a lease as an ordinary client does. */
  askForLease(): Promise<LeaseGiven | null> {
    const { link, clientIdentifier } = this;
    return this.agent.call("askForLease", { link, mac: mac(this.mac), clientIdentifier, timeout: TIMEOUT });
  }

  /** Gets a lease and sets up the kernel with it. */
  async boot(): Promise<void> {
    const lease = await this.askForLease();
    if (lease === null) throw new Error(`${this.name} got no address from DHCP`);
    if (lease.address !== this.#lease?.address || lease.router !== this.#lease.router) {
      this.namespace.ip("-4", "address", "flush", "dev", this.link);
      this.namespace.batch([
        `address add ${lease.address}/${lease.prefixLength} dev ${this.link}`,
        `route replace default via ${lease.router}`,
      ]);
    }
    this.#lease = lease;
  }

  /**
   * Removes the effects of an attack: clears the guest's ARP table and, if it then cannot find the gateway, restarts
   * it.
   */
  async restore(): Promise<void> {
    if (await this.#findsGateway()) return;
    // The attack did more harm than clearing the ARP table can undo.
    await this.boot();
    if (!(await this.#findsGateway())) throw new Error(`${this.name} cannot find the gateway`);
  }

  async #findsGateway(): Promise<boolean> {
    const { address, mac } = this.gateway;
    for (let tries = 0; tries < RESTORE_TRIES; tries++) {
      this.namespace.ip("neighbour", "flush", "dev", this.link);
      if ((await this.ping(address)) && this.namespace.macOf(address) === mac) return true;
    }
    return false;
  }

  ping(address: string, timeout = PING_TIMEOUT): Promise<boolean> {
    return this.agent.call("ping", { address: ipv4(address), timeout });
  }
}
