/** Tells the VM's address as it comes, is renewed and goes, and warns once of what will surprise its user. */
import type { Guard } from "../guard/guard.ts";
import type { BindingChange } from "../guard/types.ts";
import { isolationAdvice } from "../policy/advice.ts";
import { subnetOf } from "../policy/rule.ts";
import type { Log } from "../telemetry/log.ts";
import { formatIPv4 } from "../wire/address.ts";

export class BindingLog {
  readonly #log: Log;
  readonly #isolated: boolean;
  readonly #clock: () => number;
  #warnedOfGateway = false;
  #warnedOfIsolation = false;

  constructor(log: Log, isolated: boolean, clock: () => number) {
    this.#log = log;
    this.#isolated = isolated;
    this.#clock = clock;
  }

  tell(change: BindingChange, guard: Guard): void {
    const { binding } = change;
    const address = formatIPv4(binding.address);
    if (change.kind === "lost") {
      this.#log.info("binding lost", { address, why: change.why });
      return;
    }
    const seconds = Math.round((binding.expiry - this.#clock()) / 1e6);
    this.#log.info(`binding ${change.kind}`, {
      address,
      origin: binding.origin,
      server: formatIPv4(binding.server),
      gateway: guard.gateway === 0 ? "none" : formatIPv4(guard.gateway),
      dns: binding.dnsServers.map(formatIPv4).join(",") || "none",
      seconds: Number.isFinite(seconds) ? seconds : "forever",
    });
    this.#warn(guard, subnetOf(binding.address, binding.netmask));
  }

  #warn(guard: Guard, subnet: ReturnType<typeof subnetOf>): void {
    if (guard.gateway === 0 && !this.#warnedOfGateway) {
      this.#warnedOfGateway = true;
      this.#log.warn("no gateway is known, so @host matches nothing: give --gateway ADDRESS if there is one");
    }
    const advice =
      this.#isolated && subnet && !this.#warnedOfIsolation ? isolationAdvice(guard.rules, subnet) : undefined;
    if (advice !== undefined) {
      this.#warnedOfIsolation = true;
      this.#log.warn(advice);
    }
  }
}
