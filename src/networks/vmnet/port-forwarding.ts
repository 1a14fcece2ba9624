/**
 * `--expose` on macOS: vmnet's port forwarding follows the VM's address. Rules are added once the address is known, moved
 * when it changes (the old ones first), removed when it ends; with the interface they go by themselves.
 *
 * vmnet answers each call later, and takes one at a time: `want` only notes the address, and one pass goes on until the
 * rules are as wanted. A rule that vmnet refuses is reported once, and tried again while the address lasts: a port that is
 * busy may become free.
 */
import { IPPROTO_TCP, VMNET_SUCCESS } from "../../native/darwin/vmnet.ts";
import { describeStatus } from "../../native/darwin/vmnet-status.ts";
import { formatIPv4 } from "../../wire/address.ts";
import { put32 } from "../../wire/bytes.ts";
import type { Exposure } from "../exposures.ts";
import type { VmnetNative } from "./native.ts";
import { waiting } from "./waiting.ts";

/** Milliseconds that vmnet may take for one rule. */
const TIMEOUT = 5_000;
/** Milliseconds until a refused rule is tried again. */
const AGAIN = 5_000;

export interface PortForwardingOptions {
  readonly exposures: readonly Exposure[];
  /** Warns the user. */
  readonly warn: (message: string) => void;
  /** Milliseconds; for tests. */
  readonly ruleTimeout?: number;
  readonly again?: number;
}

export class PortForwarding {
  readonly #native: VmnetNative;
  readonly #interface: number;
  readonly #options: PortForwardingOptions;
  /** The address that rules are wanted for; 0 = none. */
  #wanted = 0;
  /** Which address each external port leads to now. */
  readonly #rules = new Map<number, number>();
  /** What was reported of each external port. */
  readonly #reported = new Map<number, string>();
  #applying: Promise<void> | undefined;
  #again: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(native: VmnetNative, vmnetInterface: number, options: PortForwardingOptions) {
    this.#native = native;
    this.#interface = vmnetInterface;
    this.#options = options;
  }

  /** The VM's address is this one now; 0: it has none. */
  want(address: number): void {
    if (this.#closed || this.#options.exposures.length === 0) return;
    if (address !== this.#wanted) this.#reported.clear();
    this.#wanted = address;
    this.#start();
  }

  /** Starts nothing more, and waits for what vmnet is just doing. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#again);
    await this.#applying;
  }

  #start(): void {
    clearTimeout(this.#again);
    this.#applying ??= this.#apply().finally(() => {
      this.#applying = undefined;
    });
  }

  /** Brings the rules to what is wanted, also if that changes meanwhile. */
  async #apply(): Promise<void> {
    for (let wanted = -1; wanted !== this.#wanted && !this.#closed; ) {
      wanted = this.#wanted;
      for (const { external, internal } of this.#options.exposures) {
        if (this.#closed || wanted !== this.#wanted) break;
        await this.#lead(external, internal, wanted);
      }
    }
    const missing = this.#wanted !== 0 && this.#rules.size < this.#options.exposures.length;
    if (missing && !this.#closed) {
      this.#again = setTimeout(() => this.#start(), this.#options.again ?? AGAIN);
      this.#again.unref();
    }
  }

  /** Makes one external port lead to an address, or nowhere (0). */
  async #lead(external: number, internal: number, address: number): Promise<void> {
    const { forwarding } = this.#native.vmnet;
    const now = this.#rules.get(external) ?? 0;
    if (now === address) return;
    if (now !== 0) {
      // vmnet has no rule any more, or will not say so: then adding tells.
      await this.#call((handler) => forwarding.remove(this.#interface, IPPROTO_TCP, external, handler));
      this.#rules.delete(external);
    }
    if (address === 0) return;
    const bytes = new Uint8Array(4);
    put32(bytes, 0, address);
    const status = await this.#call((handler) =>
      forwarding.add(this.#interface, IPPROTO_TCP, external, bytes, internal, handler),
    );
    if (status === VMNET_SUCCESS) {
      this.#rules.set(external, address);
      this.#reported.delete(external);
    } else {
      this.#report(external, address, status);
    }
  }

  #report(external: number, address: number, status: number | undefined): void {
    const why = status === undefined ? "vmnet does not answer" : describeStatus(status);
    if (this.#reported.get(external) === why) return;
    this.#reported.set(external, why);
    this.#options.warn(
      `port ${external} cannot be exposed to ${formatIPv4(address)}: ${why}; something on this host may use the port: free it, or expose another (softnet goes on trying)`,
    );
  }

  /** A call's outcome: at once, or by its handler; undefined when that does not come. */
  async #call(start: (handler: number) => number): Promise<number | undefined> {
    const { blocks } = this.#native;
    const handled = waiting(this.#options.ruleTimeout ?? TIMEOUT);
    const handler = blocks.once("value", handled.resolve);
    const asked = start(handler);
    if (asked !== VMNET_SUCCESS) {
      blocks.takeBack("value", handler);
      handled.resolve(asked);
    }
    return await handled.promise;
  }
}
