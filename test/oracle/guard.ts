/**
 * A second guard, slow and obvious, written from docs/guard.md and the threat table by someone who has not read the
 * first. The two must agree on every frame (agree.test.ts): a mistake then has to be made twice, in two ways of writing.
 */
import type { GuardOptions, Verdict } from "../../src/guard/types.ts";
import { PASS, uint16 } from "./bytes.ts";
import { checkArp, checkEthernet, type Direction } from "./ethernet.ts";
import { checkIpv4 } from "./ipv4.ts";
import { State } from "./state.ts";

export class OracleGuard {
  readonly #state: State;

  constructor(options: GuardOptions) {
    this.#state = new State(options);
  }

  /** A frame from the VM at a time in microseconds. */
  egress(frame: Uint8Array, time: number): Verdict {
    return this.#judge("egress", frame, time);
  }

  /** A frame to the VM at a time in microseconds. */
  ingress(frame: Uint8Array, time: number): Verdict {
    return this.#judge("ingress", frame, time);
  }

  /** What kind of frame passed last, `dhcp.ACK-RENEWING`: lets a test see that a generator reached it. */
  get note(): string {
    return this.#state.note;
  }

  /** How often each rare path was taken. */
  get reached(): ReadonlyMap<string, number> {
    return this.#state.reached;
  }

  #judge(direction: Direction, frame: Uint8Array, time: number): Verdict {
    const state = this.#state;
    state.advance(time);
    let result = checkEthernet(state, direction, frame);
    if (result === PASS) {
      const check = uint16(frame, 12) === 0x0806 ? checkArp : checkIpv4;
      result = check(state, direction, frame);
    }
    return result === PASS ? { verdict: "pass" } : { verdict: "drop", reason: result };
  }
}
