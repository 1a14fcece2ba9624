/** What names must know of IPv4 addresses: made anew with the rules and the network, where a policy has names. */
import { BLOCKED, DNS_SERVER, GLOBAL, type KnownNetwork } from "../../policy/default-layer.ts";
import type { Rule } from "../../policy/rule.ts";
import { OUT } from "../../policy/rule-tree.ts";
import { PolicyTable } from "../../policy/table.ts";

/** What a whole address ranks as. */
const WHOLE = 32;

export class NameAddresses {
  readonly #dnsServers: readonly number[];
  readonly #withoutRules: PolicyTable;
  readonly #outranking: PolicyTable;

  constructor(rules: readonly Rule[], network: KnownNetwork) {
    this.#dnsServers = network.dnsServers;
    this.#withoutRules = new PolicyTable([], network);
    this.#outranking = new PolicyTable(rules.filter(outranksNames), network);
  }

  isDnsServer(remote: number): boolean {
    return this.#dnsServers.includes(remote);
  }

  outranksNames(remote: number, port: number): boolean {
    return this.#outranking.ask(OUT, remote, port) === BLOCKED;
  }

  /** Globally routable, a DNS server as others. */
  isPinnable(address: number): boolean {
    return (this.#withoutRules.lookup(address) & ~DNS_SERVER) === GLOBAL;
  }
}

function outranksNames({ action, ports, target }: Rule): boolean {
  return action === "block" && ports !== undefined && target.rank === WHOLE;
}
