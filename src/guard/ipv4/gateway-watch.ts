/**
 * The gateway's MAC address, so that no other machine on the segment can claim to be the gateway (threat row A9). Where
 * the network does not tell it, the answer to the VM's own ARP request does; then it stays, until the gateway is silent:
 *
 *   unknown → known      the first reply to the VM's request of at most 3 s ago
 *   known   → unknown    three requests at least 1 s apart, each unanswered for at least 1 s
 *
 * Where softnet may ask itself (`takeQuestion`), it does not wait for the VM to do so: when another MAC claims the address,
 * it asks the known one, and when none is known, everybody.
 *
 * So a machine that answers faster than the gateway wins nothing while the gateway lives, and a replaced gateway is
 * found again within seconds.
 */
import { UNKNOWN_MAC } from "../../wire/address.ts";
import { fresh } from "../fresh.ts";

const ANSWER_WINDOW = 3_000_000;
const REQUEST_SPACING = 1_000_000;
const UNANSWERED_LIMIT = 3;
const QUESTION_SPACING = 1_000_000;
const NEVER = Number.NEGATIVE_INFINITY;
const NOT_DUE = Number.POSITIVE_INFINITY;

/** No MAC is to be asked now. */
export const NO_QUESTION = -2;

export class GatewayWatch {
  readonly #configured: number;
  readonly #asks: boolean;
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
  /** When the next question of softnet's own is due, microseconds; NOT_DUE = no machine claims the address. */
  questionDue = NOT_DUE;
  /** When the last one was sent. */
  #questioned = NEVER;
  /** Those that the known MAC has not answered. */
  #questions = 0;

  /** `configuredMac`: what the network knows, or UNKNOWN_MAC. `asks`: the questions are sent. */
  constructor(configuredMac: number, asks: boolean) {
    this.#configured = configuredMac;
    this.#asks = asks;
    this.mac = configuredMac;
  }

  /** The gateway's address, as configured or as the binding has it now (0 = none). */
  setAddress(address: number): void {
    if (address === this.address) return;
    this.address = address;
    this.mac = this.#configured;
    this.acknowledgedFrom = UNKNOWN_MAC;
    this.#asked = NEVER;
    this.#forgetQuestions();
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
          this.#forgetQuestions();
        }
      }
    }
    this.#asked = now;
  }

  /** A machine claims the address whose MAC is not known as the gateway's: there is something to ask. */
  claimed(now: number): void {
    if (!this.#asks || this.#configured !== UNKNOWN_MAC || this.questionDue !== NOT_DUE) return;
    this.questionDue = Math.max(now, this.#questioned + QUESTION_SPACING);
  }

  /** The VM has no address that it could ask from. */
  dropQuestion(): void {
    this.questionDue = NOT_DUE;
    this.#questions = 0;
  }

  /** The MAC to ask now, UNKNOWN_MAC to ask all, NO_QUESTION for no question. The question counts as asked. */
  takeQuestion(now: number): number {
    if (now < this.questionDue) return NO_QUESTION;
    if (this.mac !== UNKNOWN_MAC && this.#questions === UNANSWERED_LIMIT) {
      this.mac = UNKNOWN_MAC;
      this.#forgetQuestions();
      this.questionDue = now;
    }
    this.#questioned = now;
    if (this.mac === UNKNOWN_MAC) {
      this.questionDue = NOT_DUE;
      this.#asked = now;
      return UNKNOWN_MAC;
    }
    this.#questions++;
    this.questionDue = now + QUESTION_SPACING;
    return this.mac;
  }

  /** Whether a reply at this time may be the answer to the VM's own request. */
  expectsAnswer(now: number): boolean {
    return fresh(this.#asked, now, ANSWER_WINDOW);
  }

  /** A frame shows that the gateway has this MAC. */
  confirm(mac: number): void {
    this.mac = mac;
    this.#forgetQuestions();
  }

  #forgetQuestions(): void {
    this.#counted = NEVER;
    this.#unanswered = 0;
    this.#questions = 0;
    this.questionDue = NOT_DUE;
  }
}
