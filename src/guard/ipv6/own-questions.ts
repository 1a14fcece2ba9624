/**
 * What softnet itself asks (docs/guard-ipv6.md, option `ask`): the network for a router, and whether somebody has an address that the
 * VM seems to use; the VM whether it still has one that was unused for long (RFC 6620).
 */
import { putNeighborSolicitation, putRouterSolicitation } from "../../wire/neighbor-discovery.ts";
import type { Addresses } from "./addresses.ts";

const SOLICITATIONS = 3;
const SOLICITATION_SPACING = 4_000_000;
/** Ethernet source of what is asked of the VM: locally administered, of nobody. */
const NOBODY = 0x020000000000;
const NOT_DUE = Number.POSITIVE_INFINITY;

export class OwnQuestions {
  readonly #mac: number;
  readonly #addresses: Addresses;
  /** Whether a router is looked for. */
  readonly #wantsRouter: () => boolean;
  #solicitations: number;
  /** When the next solicitation is due, in place 0; microseconds. */
  readonly #due = Float64Array.of(0);

  /** `mac`: the VM's. `asks`: what is asked is sent. */
  constructor(mac: number, asks: boolean, addresses: Addresses, wantsRouter: () => boolean) {
    this.#mac = mac;
    this.#addresses = addresses;
    this.#wantsRouter = wantsRouter;
    this.#solicitations = asks ? SOLICITATIONS : 0;
  }

  /** When there is something to ask, microseconds; Infinity = never. */
  get due(): number {
    const solicits = this.#solicitations > 0 && this.#wantsRouter();
    const solicitation = solicits ? this.#due[0]! : NOT_DUE;
    return Math.min(solicitation, this.#addresses.hasQuestion ? 0 : NOT_DUE, this.#addresses.probeDue);
  }

  /** Writes a question to the network; returns its length, 0 = none now. */
  takeQuestion(out: Uint8Array, at: number, now: number): number {
    if (this.#solicitations > 0 && now >= this.#due[0]! && this.#wantsRouter()) {
      this.#solicitations--;
      this.#due[0] = now + SOLICITATION_SPACING;
      return putRouterSolicitation(out, at, this.#mac);
    }
    const asked = this.#addresses.takeQuestion();
    return asked === undefined ? 0 : putNeighborSolicitation(out, at, this.#mac, asked);
  }

  /** Writes a question to the VM; returns its length, 0 = none now. */
  takeProbe(out: Uint8Array, at: number): number {
    const probed = this.#addresses.takeProbe();
    return probed === undefined ? 0 : putNeighborSolicitation(out, at, NOBODY, probed);
  }
}
