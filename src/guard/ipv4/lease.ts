/**
 * The VM's bound IPv4 address and how it begins and ends. States, as in RFC 2131 figure 5 seen from outside:
 *
 *   unbound → bound                    an ACK that was asked for and may be trusted (dhcp-ingress.ts); at the start also
 *                                      an address of before (restore.ts)
 *   bound   → bound, expiry moved      RENEWING and REBINDING keep it; an ACK of another replaces it
 *   bound   → unbound                  lease over, RELEASE or DECLINE by the VM, NAK by a trusted server
 *
 * An address whose lease is over is remembered as the former one: the VM may ask its server whether it may go on with it
 * (docs/guard.md, Renewals of an address that is not bound). It gives no right to the address.
 *
 * A static address never ends; an ACK for it only completes it.
 */
import type {
  Acknowledged,
  BindingChange,
  BindingEnd,
  BindingOrigin,
  BoundIPv4Address,
  RestoredAddress,
} from "../types.ts";

/** What an ACK says about the address it assigns; 0 or empty where an option was not there. */
export interface Acknowledgement {
  readonly address: number;
  readonly server: number;
  /** Seconds; 0xffffffff = for ever. */
  readonly leaseTime: number;
  readonly netmask: number;
  readonly router: number;
  readonly dnsServers: readonly number[];
  readonly acknowledged: Acknowledged;
}

const FOREVER = 0xffffffff;

/** No address: outside the 32 bits of any, so that a packet to 0.0.0.0 does not match it. */
export const NO_ADDRESS = -1;

export class Lease {
  readonly #learnedAs: BindingOrigin;
  readonly #tell: (change: BindingChange) => void;
  readonly #formerIsGone: () => void;
  #bound: BoundIPv4Address | undefined;
  #former: BoundIPv4Address | undefined;
  /** The bound address, 0 while there is none: what the hot path compares with. */
  address = 0;
  /** The last bound address, also after its end; 0 = there never was one. */
  lastAddress = 0;
  /** The former address, NO_ADDRESS while there is none: what the hot path compares with. */
  formerAddress = NO_ADDRESS;
  /** When the lease ends, microseconds; Infinity while there is nothing to end. */
  expiry = Number.POSITIVE_INFINITY;

  /** `learnedAs`: the origin of an address that an ACK assigns. `formerIsGone`: called when the VM has neither address any more. */
  constructor(
    staticAddress: number,
    learnedAs: BindingOrigin,
    tell: (change: BindingChange) => void,
    formerIsGone: () => void,
  ) {
    this.#learnedAs = learnedAs;
    this.#tell = tell;
    this.#formerIsGone = formerIsGone;
    if (staticAddress !== 0) {
      this.#set({
        family: "ipv4",
        address: staticAddress,
        origin: "static",
        server: 0,
        expiry: Number.POSITIVE_INFINITY,
        netmask: 0,
        router: 0,
        dnsServers: [],
      });
    }
  }

  get bound(): BoundIPv4Address | undefined {
    return this.#bound;
  }

  /** The address whose lease ended, while the VM may ask to go on with it. */
  get former(): BoundIPv4Address | undefined {
    return this.#former;
  }

  get isStatic(): boolean {
    return this.#bound?.origin === "static";
  }

  /**
   * Makes or renews the lease; `renews`: the VM asked to go on with the address, so that the former one's options stay.
   * The caller has checked that a static address stays.
   */
  acknowledge(ack: Acknowledgement, renews: boolean, now: number): void {
    const before = this.#bound;
    const known = before ?? (renews ? this.#former : undefined);
    const same = known?.address === ack.address ? known : undefined;
    const bound: BoundIPv4Address = Object.freeze({
      family: "ipv4",
      address: ack.address,
      origin: same?.origin ?? this.#learnedAs,
      server: ack.server,
      expiry: this.isStatic || ack.leaseTime === FOREVER ? Number.POSITIVE_INFINITY : now + ack.leaseTime * 1_000_000,
      netmask: ack.netmask || (same?.netmask ?? 0),
      router: ack.router || (same?.router ?? 0),
      dnsServers: ack.dnsServers.length > 0 ? ack.dnsServers : (same?.dnsServers ?? []),
      acknowledged: ack.acknowledged,
    });
    this.#set(bound);
    if (before && !same) this.#tell({ kind: "lost", bound: before, why: "replaced" });
    this.#tell({ kind: before && same ? "renewed" : "learned", bound });
  }

  /** Goes on with an address of before (restore.ts has looked at it), without telling. */
  restore(address: RestoredAddress): void {
    this.#set(Object.freeze({ ...address, origin: this.#learnedAs }));
  }

  /**
   * Ends the lease, unless the address is static or there is none; only an expired one is remembered as the former one.
   * `declined`: the address in the DECLINE that ends it.
   */
  end(why: BindingEnd, declined?: number): void {
    const bound = this.#bound;
    if (!bound) {
      this.forgetFormer();
      return;
    }
    if (bound.origin === "static") return;
    this.#set(undefined);
    if (why === "expired") this.#setFormer(bound);
    const another = declined !== undefined && declined !== bound.address;
    this.#tell({ kind: "lost", bound, why, ...(another && { declined }) });
  }

  /** The former address may belong to another machine now. */
  forgetFormer(): void {
    if (!this.#former) return;
    this.#setFormer(undefined);
    this.#formerIsGone();
  }

  #setFormer(former: BoundIPv4Address | undefined): void {
    this.#former = former;
    this.formerAddress = former?.address ?? NO_ADDRESS;
  }

  #set(bound: BoundIPv4Address | undefined): void {
    this.#bound = bound;
    this.#setFormer(undefined);
    this.address = bound?.address ?? 0;
    if (bound) this.lastAddress = bound.address;
    this.expiry = bound?.expiry ?? Number.POSITIVE_INFINITY;
  }
}
