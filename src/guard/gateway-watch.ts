/**
 * The gateway's MAC address, so that no other machine on the segment can claim to be the gateway (threat row A9). Where
 * the network does not tell it, the answer to the VM's own ARP request does; then it stays, until the gateway is silent:
 *
 *   unknown → known      the first reply to the VM's request of at most 3 s ago
 *   known   → unknown    three requests at least 1 s apart, each unanswered for at least 1 s
 *
 * So a machine that answers faster than the gateway wins nothing while the gateway lives, and a replaced gateway is
 * found again within seconds.
 */
import { fresh } from "./recent.ts";

const ANSWER_WINDOW = 3_000_000;
const REQUEST_SPACING = 1_000_000;
const UNANSWERED_LIMIT = 3;
const NEVER = Number.NEGATIVE_INFINITY;

/** No MAC: outside the 48 bits of any address. */
export const UNKNOWN_MAC = -1;

export class GatewayWatch {
  readonly #configured: number;
  /** The gateway's address, 0 = none. */
  address = 0;
  /** The gateway's MAC, UNKNOWN_MAC while unknown. */
  mac: number;
  /**
   * From where the gateway, being the DHCP server too, acknowledged the binding; UNKNOWN_MAC = not so. While its MAC is
   * unknown, requests (not replies) may come from there: a router may speak to a VM first.
   */
  acknowledgedFrom = UNKNOWN_MAC;
  #asked = NEVER;
  #counted = NEVER;
  #unanswered = 0;

  /** `configuredMac`: what the network knows, or UNKNOWN_MAC. */
  constructor(configuredMac: number) {
    this.#configured = configuredMac;
    this.mac = configuredMac;
  }

  /** The gateway's address, as configured or as the binding tells it now (0 = none). */
  setAddress(address: number): void {
    if (address === this.address) return;
    this.address = address;
    this.mac = this.#configured;
    this.acknowledgedFrom = UNKNOWN_MAC;
    this.#asked = NEVER;
    this.#settle();
  }

  /** The VM asks, from its bound address, who has the gateway's address. */
  noteRequest(now: number): void {
    if (this.mac !== UNKNOWN_MAC && this.#configured === UNKNOWN_MAC) {
      if (this.#counted === NEVER) {
        this.#counted = now;
      } else if (now - this.#counted >= REQUEST_SPACING) {
        this.#counted = now;
        if (++this.#unanswered === UNANSWERED_LIMIT) {
          this.mac = UNKNOWN_MAC;
          this.#settle();
        }
      }
    }
    this.#asked = now;
  }

  /** Whether a reply at this time may be the answer to the VM's own request. */
  expectsAnswer(now: number): boolean {
    return fresh(this.#asked, now, ANSWER_WINDOW);
  }

  /** The gateway was heard with this MAC. */
  heard(mac: number): void {
    this.mac = mac;
    this.#settle();
  }

  #settle(): void {
    this.#counted = NEVER;
    this.#unanswered = 0;
  }
}
