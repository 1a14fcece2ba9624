/**
 * The VM's binding and how it begins and ends. States, as in RFC 2131 figure 5 seen from outside:
 *
 *   unbound → bound                    an ACK that was asked for and may be trusted (dhcp-ingress.ts); at the start also
 *                                      a binding of before (restore.ts)
 *   bound   → bound, expiry moved      RENEWING and REBINDING keep it; an ACK of another address replaces it
 *   bound   → unbound                  lease over, RELEASE or DECLINE by the VM, NAK by a trusted server
 *
 * A binding whose lease is over is remembered as the former one: the VM may ask its server whether it may go on with it
 * (docs/guard.md, Renewals of an address that is not bound). It gives no right to the address.
 *
 * A static binding never ends; an ACK for its address only completes it.
 */
import type { Acknowledged, Binding, BindingChange, BindingEnd, BindingOrigin } from "../types.ts";

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
  #binding: Binding | undefined;
  #former: Binding | undefined;
  /** The bound address, 0 while there is none: what the hot path compares with. */
  address = 0;
  /** The address of the last binding, also after its end; 0 = there never was one. */
  lastAddress = 0;
  /** The former binding's address, NO_ADDRESS while there is none: what the hot path compares with. */
  formerAddress = NO_ADDRESS;
  /** When the binding ends, microseconds; Infinity while there is nothing to end. */
  expiry = Number.POSITIVE_INFINITY;

  /** `learnedAs`: the origin of a binding that an ACK makes. `formerIsGone`: called when the VM has neither binding any more. */
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

  get binding(): Binding | undefined {
    return this.#binding;
  }

  /** The binding whose lease ended, while the VM may ask to go on with it. */
  get former(): Binding | undefined {
    return this.#former;
  }

  get isStatic(): boolean {
    return this.#binding?.origin === "static";
  }

  /**
   * Makes or renews the binding; `renews`: the VM asked to go on with the address, so that the former binding's options
   * stay. The caller has checked that a static binding's address stays.
   */
  acknowledge(ack: Acknowledgement, renews: boolean, now: number): void {
    const before = this.#binding;
    const known = before ?? (renews ? this.#former : undefined);
    const same = known?.address === ack.address ? known : undefined;
    const binding: Binding = Object.freeze({
      address: ack.address,
      origin: same?.origin ?? this.#learnedAs,
      server: ack.server,
      expiry: this.isStatic || ack.leaseTime === FOREVER ? Number.POSITIVE_INFINITY : now + ack.leaseTime * 1_000_000,
      netmask: ack.netmask || (same?.netmask ?? 0),
      router: ack.router || (same?.router ?? 0),
      dnsServers: ack.dnsServers.length > 0 ? ack.dnsServers : (same?.dnsServers ?? []),
      acknowledged: ack.acknowledged,
    });
    this.#set(binding);
    if (before && !same) this.#tell({ kind: "lost", binding: before, why: "replaced" });
    this.#tell({ kind: before && same ? "renewed" : "learned", binding });
  }

  /** Goes on with a binding of before (restore.ts has looked at it), without telling. */
  restore(binding: Omit<Binding, "origin">): void {
    this.#set(Object.freeze({ ...binding, origin: this.#learnedAs }));
  }

  /**
   * Ends the binding, unless it is static or there is none; only an expired one is remembered as the former one.
   * `declined`: the address in the DECLINE that ends it.
   */
  end(why: BindingEnd, declined?: number): void {
    const binding = this.#binding;
    if (!binding) {
      this.forgetFormer();
      return;
    }
    if (binding.origin === "static") return;
    this.#set(undefined);
    if (why === "expired") this.#setFormer(binding);
    const another = declined !== undefined && declined !== binding.address;
    this.#tell({ kind: "lost", binding, why, ...(another && { declined }) });
  }

  /** The former address may belong to another machine now. */
  forgetFormer(): void {
    if (!this.#former) return;
    this.#setFormer(undefined);
    this.#formerIsGone();
  }

  #setFormer(former: Binding | undefined): void {
    this.#former = former;
    this.formerAddress = former?.address ?? NO_ADDRESS;
  }

  #set(binding: Binding | undefined): void {
    this.#binding = binding;
    this.#setFormer(undefined);
    this.address = binding?.address ?? 0;
    if (binding) this.lastAddress = binding.address;
    this.expiry = binding?.expiry ?? Number.POSITIVE_INFINITY;
  }
}
