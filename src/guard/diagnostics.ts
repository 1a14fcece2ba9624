/**
 * What other code of the process may observe through node:diagnostics_channel: verdicts and changes of a binding
 * (docs/library.md, Observing). Where nobody has subscribed, nothing is made: code that judges in batches asks
 * `observed` once a batch.
 *
 * `publish` does not throw: Node raises what a subscriber throws after the running code, as an uncaught exception.
 */
import { channel } from "node:diagnostics_channel";
import { formatMac } from "../wire/address.ts";
import type { FrameView } from "../wire/frame-view.ts";
import { DROP_REASONS, PASS } from "./reasons.ts";
import type { BindingChange, Verdict } from "./types.ts";

/** The channels' names. */
export const VERDICT_CHANNEL = "softnet:verdict";
export const BINDING_CHANNEL = "softnet:binding";

/** What subscribers of `softnet:verdict` get: a frame, and what the guard said of it. */
export interface VerdictMessage extends Verdict {
  /** The VM's. */
  readonly macAddress: string;
  /** From the VM to the network, or from the network to the VM. */
  readonly direction: "egress" | "ingress";
  /** Microseconds on the guard's clock. */
  readonly time: number;
  /** Valid during the call only: its memory is used again. */
  readonly frame: Uint8Array;
}

/** What subscribers of `softnet:binding` get. */
export interface BindingMessage {
  /** The VM's. */
  readonly macAddress: string;
  readonly change: BindingChange;
}

const verdicts = channel(VERDICT_CHANNEL);
const bindings = channel(BINDING_CHANNEL);

/** Publishes for one VM. */
export class Diagnostics {
  readonly #macAddress: string;

  /** `mac`: 48 bits. */
  constructor(mac: number) {
    this.#macAddress = formatMac(mac);
  }

  /** Whether verdicts have a subscriber. */
  get observed(): boolean {
    return verdicts.hasSubscribers;
  }

  /** `verdict`: PASS or a drop reason's number. */
  verdict(direction: VerdictMessage["direction"], verdict: number, time: number, view: FrameView): void {
    const message: VerdictMessage = {
      macAddress: this.#macAddress,
      direction,
      ...(verdict === PASS ? { verdict: "pass" } : { verdict: "drop", reason: DROP_REASONS[verdict - 1]!.name }),
      time,
      frame: view.bytes.subarray(view.frame, view.frame + view.length),
    };
    verdicts.publish(message);
  }

  bindingChanged(change: BindingChange): void {
    if (!bindings.hasSubscribers) return;
    const message: BindingMessage = { macAddress: this.#macAddress, change };
    bindings.publish(message);
  }
}
