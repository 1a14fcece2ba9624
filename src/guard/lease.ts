/**
 * The VM's binding and how it begins and ends. States, as in RFC 2131 figure 5 seen from outside:
 *
 *   unbound → bound                    an ACK that was asked for and may be trusted (dhcp-ingress.ts); at the start also
 *                                      a binding of before (restore.ts)
 *   bound   → bound, expiry moved      RENEWING and REBINDING keep it; an ACK of another address replaces it
 *   bound   → unbound                  lease over, RELEASE or DECLINE by the VM, NAK by a trusted server
 *
 * A static binding never ends; an ACK for its address only completes it.
 */
import type { Acknowledged, Binding, BindingChange, BindingEnd, BindingOrigin } from "./types.ts";

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

export class Lease {
  readonly #learnedAs: BindingOrigin;
  readonly #tell: (change: BindingChange) => void;
  #binding: Binding | undefined;
  /** The bound address, 0 while there is none: what the hot path compares with. */
  address = 0;
  /** The address of the last binding, also after its end; 0 = there never was one. */
  lastAddress = 0;
  /** When the binding ends, microseconds; Infinity while there is nothing to end. */
  expiry = Number.POSITIVE_INFINITY;

  /** `learnedAs`: the origin of a binding that an ACK makes. */
  constructor(staticAddress: number, learnedAs: BindingOrigin, tell: (change: BindingChange) => void) {
    this.#learnedAs = learnedAs;
    this.#tell = tell;
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

  get isStatic(): boolean {
    return this.#binding?.origin === "static";
  }

  /** Makes or renews the binding. The caller has checked that a static binding's address stays. */
  acknowledge(ack: Acknowledgement, now: number): void {
    const before = this.#binding;
    const same = before?.address === ack.address ? before : undefined;
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
    this.#tell({ kind: same ? "renewed" : "learned", binding });
  }

  /** Goes on with a binding of before (restore.ts has looked at it), without telling. */
  restore(binding: Omit<Binding, "origin">): void {
    this.#set(Object.freeze({ ...binding, origin: this.#learnedAs }));
  }

  /** Ends the binding, unless it is static or there is none. */
  end(why: BindingEnd): void {
    const binding = this.#binding;
    if (!binding || binding.origin === "static") return;
    this.#set(undefined);
    this.#tell({ kind: "lost", binding, why });
  }

  #set(binding: Binding | undefined): void {
    this.#binding = binding;
    this.address = binding?.address ?? 0;
    if (binding) this.lastAddress = binding.address;
    this.expiry = binding?.expiry ?? Number.POSITIVE_INFINITY;
  }
}
