/**
 * What softnet says as the IPv6 router of one VM (RFC 4861 6.2), and when. Frames are made when they are taken, so the VM
 * always gets the newest word, and what waits while it takes nothing is one advertisement to all and one to itself.
 *
 *   begins        with the host's route (on a network that leads to the host only: at once): three advertisements 16 s apart
 *   goes on       every 200 to 300 s
 *   solicited     to the one who asked, at once; at most three without a pause, then one every 3 s. Who has no address
 *                 yet (source ::) gets one to all
 *   to all        never two within 3 s
 *   the route is lost   the same with router lifetime 0 and without the prefix, so that the VM does not wait for
 *                 IPv6 that leads nowhere; its addresses end by themselves
 *   never a route nothing
 *
 * Only timers count, no clock. Nothing grows with what the VM sends.
 */
import { ALL_NODES, type DnsServers, emitRouterAdvertisement } from "../../wire/router-advertisement.ts";

/** Milliseconds: MAX_INITIAL_RTR_ADVERT_INTERVAL, MIN_DELAY_BETWEEN_RAS, MinRtrAdvInterval, MaxRtrAdvInterval. */
const INITIAL_INTERVAL = 16_000;
const MIN_DELAY = 3000;
const MIN_INTERVAL = 200_000;
const MAX_INTERVAL = 300_000;
/** MAX_INITIAL_RTR_ADVERTISEMENTS; solicited ones without a pause, too. */
const INITIAL = 3;

/** Seconds. The router is one for six intervals: a VM that misses some keeps it. */
const ROUTER_LIFETIME = 1800;
/** Addresses are for new connections as long as there is the router, for old ones as long as RFC 4862 5.5.3 protects. */
const PREFERRED_LIFETIME = ROUTER_LIFETIME;
const VALID_LIFETIME = 7200;
const HOP_LIMIT = 64;
/** 33:33:00:00:00:01, where ff02::1 goes (RFC 2464 7). */
const ALL_NODES_MAC = 0x333300000001;

export interface AdvertiserOptions {
  /** 48 bits each. */
  readonly routerMac: number;
  readonly vmMac: number;
  /** The router's link-local address. */
  readonly router: bigint;
  /** The first address of the VM's /64. */
  readonly prefix: bigint;
  /** Bytes, 1,280 or more. */
  readonly mtu: number;
  /** False on a network that leads to the host only: no router is advertised, whatever routes the host has. */
  readonly routes: boolean;
  readonly dnsServers: readonly bigint[];
  /** 0 … 1. */
  readonly random?: () => number;
}

export class Advertiser {
  /** Called when there is something to take. */
  onDue: () => void = () => {};
  readonly #options: AdvertiserOptions;
  readonly #random: () => number;
  #dnsServers: readonly bigint[];
  /** DNS servers that the VM learned before and shall forget. */
  #formerServers: readonly bigint[] = [];
  #hasRoute = false;
  #speaks = false;
  #initial = 0;
  /** Due: to all, and to one. */
  #toAll = false;
  #toOne: bigint | undefined;
  #tokens = INITIAL;
  #next: NodeJS.Timeout | undefined;
  /** Runs while a further one to all would be too early. */
  #pause: NodeJS.Timeout | undefined;
  #refill: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: AdvertiserOptions) {
    this.#options = options;
    this.#dnsServers = options.dnsServers;
    this.#random = options.random ?? Math.random;
    if (!options.routes) this.#begin();
  }

  get hasRoute(): boolean {
    return this.#hasRoute;
  }

  /** Whether the host has a route to where IPv6 leads. */
  set hasRoute(hasRoute: boolean) {
    if (hasRoute === this.#hasRoute) return;
    this.#hasRoute = hasRoute;
    if (this.#options.routes && (hasRoute || this.#speaks)) this.#begin();
  }

  /** Other DNS servers from now on. */
  set dnsServers(servers: readonly bigint[]) {
    this.#formerServers = this.#dnsServers.filter((server) => !servers.includes(server));
    this.#dnsServers = servers;
    if (this.#speaks) this.#begin();
  }

  /** The VM has asked, from that address. */
  solicited(source: bigint): void {
    if (!this.#speaks) return;
    if (source === 0n) this.#dueToAll();
    else if (this.#toOne === undefined && this.#tokens > 0) {
      this.#tokens--;
      this.#toOne = source;
      this.#refill ??= timer(this.#onRefill, MIN_DELAY);
      this.onDue();
    }
  }

  /** Whether `take` has something. */
  get isDue(): boolean {
    return this.#toOne !== undefined || (this.#toAll && this.#pause === undefined);
  }

  /** The next frame; undefined where none is due. */
  take(): Uint8Array | undefined {
    const to = this.#toOne;
    if (to !== undefined) {
      this.#toOne = undefined;
      return this.#make(this.#options.vmMac, to);
    }
    if (!this.isDue) return undefined;
    this.#toAll = false;
    this.#pause = timer(this.#onPauseEnd, MIN_DELAY);
    return this.#make(ALL_NODES_MAC, ALL_NODES);
  }

  close(): void {
    this.#closed = true;
    this.#speaks = false;
    this.#toAll = false;
    this.#toOne = undefined;
    for (const one of [this.#next, this.#pause, this.#refill]) clearTimeout(one);
  }

  /** Something new is to be said: as at the start (RFC 4861 6.2.4). */
  #begin(): void {
    if (this.#closed) return;
    this.#speaks = true;
    this.#initial = INITIAL;
    clearTimeout(this.#next);
    this.#onNext();
  }

  readonly #onNext = (): void => {
    if (this.#initial > 0) this.#initial--;
    const usual = MIN_INTERVAL + (MAX_INTERVAL - MIN_INTERVAL) * this.#random();
    this.#next = timer(this.#onNext, this.#initial > 0 ? INITIAL_INTERVAL : usual);
    this.#dueToAll();
  };

  #dueToAll(): void {
    this.#toAll = true;
    if (this.isDue) this.onDue();
  }

  readonly #onPauseEnd = (): void => {
    this.#pause = undefined;
    if (this.isDue) this.onDue();
  };

  readonly #onRefill = (): void => {
    this.#tokens++;
    this.#refill = this.#tokens < INITIAL ? timer(this.#onRefill, MIN_DELAY) : undefined;
  };

  #make(destinationMac: number, destination: bigint): Uint8Array {
    const { routerMac, router, prefix, mtu, routes } = this.#options;
    const isRouter = routes && this.#hasRoute;
    const prefixed = isRouter || !routes;
    const dns: DnsServers[] = [
      { servers: this.#dnsServers, lifetime: isRouter ? ROUTER_LIFETIME : 0 },
      { servers: this.#formerServers, lifetime: 0 },
    ];
    return emitRouterAdvertisement({
      sourceMac: routerMac,
      destinationMac,
      source: router,
      destination,
      hopLimit: HOP_LIMIT,
      routerLifetime: isRouter ? ROUTER_LIFETIME : 0,
      mtu,
      ...(prefixed && {
        prefix: { address: prefix, validLifetime: VALID_LIFETIME, preferredLifetime: PREFERRED_LIFETIME },
      }),
      dns,
    });
  }
}

/** It keeps no process running. */
function timer(callback: () => void, milliseconds: number): NodeJS.Timeout {
  return setTimeout(callback, milliseconds).unref();
}
