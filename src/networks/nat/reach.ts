/** What the VM may reach through the host: the helper gets it whenever the rules or the DNS servers change. */
import type { HostHelper } from "../../host/client.ts";
import type { ChangeRequest } from "../../host/messages.ts";
import { SUBNET_LENGTH } from "../../host/subnet.ts";
import { reachable } from "../../policy/reachable.ts";
import { type Place6, reachable6 } from "../../policy/reachable6.ts";
import { netmaskOf, type Rule } from "../../policy/rule.ts";

export interface ReachParts {
  readonly rules: readonly Rule[];
  readonly dnsServers: readonly number[];
  readonly dnsServers6: readonly bigint[];
}

export class Reach {
  readonly #helper: HostHelper;
  readonly #place: { readonly gateway: number; readonly address: number };
  readonly #place6: Omit<Place6, "dnsServers"> | undefined;
  #rules: readonly Rule[];
  #dnsServers: readonly number[];
  #dnsServers6: readonly bigint[];

  /** `place6`: undefined without IPv6. */
  constructor(
    helper: HostHelper,
    { rules, dnsServers, dnsServers6 }: ReachParts,
    place: { readonly gateway: number; readonly address: number },
    place6: Omit<Place6, "dnsServers"> | undefined,
  ) {
    this.#helper = helper;
    this.#place = place;
    this.#place6 = place6;
    this.#rules = rules;
    this.#dnsServers = dnsServers;
    this.#dnsServers6 = dnsServers6;
  }

  readonly compute = (): Omit<ChangeRequest, "kind"> => {
    const place = { ...this.#place, netmask: netmaskOf(SUBNET_LENGTH), dnsServers: this.#dnsServers };
    const reach = reachable(this.#rules, place);
    if (this.#place6 === undefined) return { reach };
    return { reach, reach6: reachable6(this.#rules, { ...this.#place6, dnsServers: this.#dnsServers6 }) };
  };

  setRules(rules: readonly Rule[]): void {
    this.#rules = rules;
    this.#helper.change(this.compute);
  }

  setDnsServers(servers: readonly number[], servers6: readonly bigint[]): void {
    this.#dnsServers = servers;
    this.#dnsServers6 = servers6;
    this.#helper.change(this.compute);
  }
}
