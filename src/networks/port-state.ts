/**
 * What a bridge does with its port's frames. With STP, or a forward delay, it drops all of them for the first 15 to 30 s
 * (IEEE 802.1D, listening and learning); and for as long as the bridge, or the port, is down, or blocked against a loop.
 * To a VM that is silence, so it is reported.
 */
import { BR_STATE_FORWARDING, type Link } from "../native/linux/links.ts";

/** linux/if_bridge.h, BR_STATE_…, by number. */
const STATES = ["disabled", "listening", "learning", "forwarding", "blocking"] as const;

/** How it looks to people: whether frames pass, and what else there is to say. */
export type OnPortState = (
  forwards: boolean,
  details: { readonly port: string; readonly bridge: string; readonly state: string },
) => void;

export class PortState {
  readonly #port: string;
  readonly #bridge: string;
  readonly #onPortState: OnPortState | undefined;
  /** A port that forwards from the start is not reported. */
  #forwards = true;

  constructor(port: string, bridge: string, onPortState: OnPortState | undefined) {
    this.#port = port;
    this.#bridge = bridge;
    this.#onPortState = onPortState;
  }

  /** Looks at the port as it is now, and reports when frames come to pass or not to pass. */
  note({ portState }: Link): void {
    if (portState === undefined) return;
    const forwards = portState === BR_STATE_FORWARDING;
    if (forwards === this.#forwards) return;
    this.#forwards = forwards;
    this.#onPortState?.(forwards, {
      port: this.#port,
      bridge: this.#bridge,
      state: STATES[portState] ?? String(portState),
    });
  }
}
