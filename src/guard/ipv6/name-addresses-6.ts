/** What names must know of IPv6 addresses: made anew with the rules and the network, where a policy has names. */
import { BLOCKED, DNS_SERVER, GLOBAL } from "../../policy/default-layer.ts";
import type { KnownNetwork6 } from "../../policy/default-layer-6.ts";
import type { Rule } from "../../policy/rule.ts";
import { OUT } from "../../policy/rule-tree.ts";
import { NO_PORT } from "../../policy/table.ts";
import { PolicyTable6 } from "../../policy/table-6.ts";
import { addressOfWords, wordsOf } from "../../wire/ipv6-address.ts";

/** What a whole address ranks as, and what is no CIDR and ranks as one (policy/targets/target.ts). */
const WHOLE = 128;
const WHOLE_4 = 32;

export class NameAddresses6 {
  readonly #dnsServers: readonly bigint[];
  readonly #withoutRules: PolicyTable6;
  readonly #outranking: PolicyTable6;

  constructor(rules: readonly Rule[], network: KnownNetwork6) {
    this.#dnsServers = network.dnsServers;
    this.#withoutRules = new PolicyTable6([], network);
    this.#outranking = new PolicyTable6(rules.filter(outranksNames), network);
  }

  isDnsServer(words: Int32Array): boolean {
    return this.#dnsServers.includes(addressOfWords(words[0]!, words[1]!, words[2]!, words[3]!));
  }

  outranksNames(words: Int32Array, port: number): boolean {
    return this.#outranking.ask(OUT, words, 0, port) === BLOCKED;
  }

  /** Globally routable, a DNS server as others. `embeds`: whether IPv4's default policy would let the VM reach an embedded address. */
  isPinnable(address: bigint, embeds: (address: number) => boolean): boolean {
    const words = wordsOf(address);
    if ((this.#withoutRules.ask(OUT, words, 0, NO_PORT) & ~DNS_SERVER) !== GLOBAL) return false;
    const embedded = this.#withoutRules.embeddedIPv4(words, 0);
    return embedded < 0 || embeds(embedded);
  }
}

function outranksNames({ action, ports, target }: Rule): boolean {
  const whole =
    target.cidr6 === undefined ? target.cidr === undefined && target.rank === WHOLE_4 : target.rank === WHOLE;
  return action === "block" && ports !== undefined && whole;
}
