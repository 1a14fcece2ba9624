/**
 * What flows and fragments must know of IPv6: remote addresses have numbers (remote-numbers.ts), the VM's own ones places
 * (own-places.ts), and an address that embeds an IPv4 one must pass in both families.
 */
import { ALLOWED, GLOBAL } from "../../policy/default-layer.ts";
import { type KnownNetwork6, NO_NETWORK_6 } from "../../policy/default-layer-6.ts";
import type { Rule } from "../../policy/rule.ts";
import { IN, OUT, type Way } from "../../policy/rule-tree.ts";
import { METADATA_ADDRESSES_6 } from "../../policy/special-purpose-6.ts";
import { PolicyTable6 } from "../../policy/table-6.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_ICMP } from "../../wire/ipv4.ts";
import { PROTOCOL_ICMPV6 } from "../../wire/ipv6.ts";
import { addressOfWords, wordsOf } from "../../wire/ipv6-address.ts";
import { isAmong } from "../../wire/ipv6-words.ts";
import { judgeKind, judgeKind6 } from "../default-policy.ts";
import type { FlowFamily } from "../flow-family.ts";
import type { PolicyGuard } from "../ipv4/policy-guard.ts";
import type { NameFamily } from "../names/name-family.ts";
import type { Address } from "../names/pairs.ts";
import { PASS } from "../reasons.ts";
import { NameAddresses6 } from "./name-addresses-6.ts";
import type { OwnPlaces } from "./own-places.ts";
import { RemoteNumbers } from "./remote-numbers.ts";

/** Four words of each. */
const METADATA_WORDS = Int32Array.from(METADATA_ADDRESSES_6.flatMap(({ address }) => [...wordsOf(address)]));

export class IPv6Flows extends RemoteNumbers implements FlowFamily, NameFamily {
  readonly icmp = PROTOCOL_ICMPV6;
  readonly #ipv4: PolicyGuard;
  readonly #own: OwnPlaces;
  #table: PolicyTable6;
  /** Whether the IPv4 address that is embedded was why the last packet drops. */
  #embeddedDecided = false;
  /** While the policy has names. */
  #nameAddresses: NameAddresses6 | undefined;

  constructor(ipv4: PolicyGuard, own: OwnPlaces, rules: readonly Rule[]) {
    super();
    this.#ipv4 = ipv4;
    this.#own = own;
    this.#table = new PolicyTable6(rules, NO_NETWORK_6);
  }

  /** In force now. */
  get table(): PolicyTable6 {
    return this.#table;
  }

  /** Puts these into force. `rules`: with those that they imply; `hasNames`: some have a name. */
  setPolicy(rules: readonly Rule[], knownNetwork: KnownNetwork6, hasNames: boolean): void {
    this.#table = new PolicyTable6(rules, knownNetwork);
    this.#nameAddresses = hasNames ? new NameAddresses6(rules, knownNetwork) : undefined;
  }

  get stateful(): boolean {
    return this.#table.stateful;
  }

  remoteOf(way: Way, view: FrameView): number {
    return this.find(way === OUT ? view.destination6 : view.source6);
  }

  quotedRemoteOf(way: Way, view: FrameView): number {
    return this.find(way === OUT ? view.quotedDestination6 : view.quotedSource6);
  }

  /** A packet to the VM that it reports an error about may have gone to another of its addresses than the error comes from. */
  quotedPlaceOf(way: Way, view: FrameView, place: number): number {
    return way === OUT ? place : this.#own.placeOf(view.quotedDestination6);
  }

  isGroup(): boolean {
    return this.words[0]! >>> 24 === 0xff;
  }

  judge(way: Way, _remote: number, protocol: number, port: number, fragmented: boolean): number {
    return this.judgeAddress(way, this.words, protocol, port, fragmented);
  }

  /** The same about any address of four words. What it embeds must pass, too; ICMPv6 is ICMP there. */
  judgeAddress(way: Way, words: Int32Array, protocol: number, port: number, fragmented: boolean): number {
    const table = this.#table;
    this.#embeddedDecided = false;
    const verdict = judgeKind6(table.ask(way, words, 0, port), protocol, port, fragmented);
    if (verdict !== PASS) return verdict;
    const embedded = table.embeddedIPv4(words, 0);
    return embedded < 0 ? PASS : this.#judgeEmbedded(way, embedded, protocol, port, fragmented);
  }

  #judgeEmbedded(way: Way, embedded: number, protocol: number, port: number, fragmented: boolean): number {
    const same = protocol === PROTOCOL_ICMPV6 ? PROTOCOL_ICMP : protocol;
    const ofEmbedded = judgeKind(this.#ipv4.table.ask(way, embedded, port), same, port, fragmented);
    this.#embeddedDecided = ofEmbedded !== PASS;
    return ofEmbedded;
  }

  /** `judge` of a packet from the VM that nothing is noted of. */
  judgeOut({ destination6, protocol, destinationPort, fragmentBits }: FrameView): number {
    const table = this.#table;
    this.#embeddedDecided = false;
    const kind = table.byPort ? table.ask(OUT, destination6, 0, destinationPort) : table.lookup(destination6, 0);
    if (kind !== GLOBAL && kind !== ALLOWED) {
      const verdict = judgeKind6(kind, protocol, destinationPort, fragmentBits !== 0);
      if (verdict !== PASS) return verdict;
    }
    const embedded = table.embeddedIPv4(destination6, 0);
    return embedded < 0 ? PASS : this.#judgeEmbedded(OUT, embedded, protocol, destinationPort, fragmentBits !== 0);
  }

  get decidingNumber(): number {
    return this.#embeddedDecided ? this.#ipv4.table.decidingNumber : this.#table.decidingNumber;
  }

  addressOf(): bigint {
    const { words } = this;
    return addressOfWords(words[0]!, words[1]!, words[2]!, words[3]!);
  }

  isDnsServer(): boolean {
    return this.#nameAddresses!.isDnsServer(this.words);
  }

  outranksNames(_remote: number, port: number): boolean {
    return this.#nameAddresses!.outranksNames(this.words, port);
  }

  isPinnable(address: Address): boolean {
    const addresses = this.#nameAddresses;
    return addresses?.isPinnable(address as bigint, (embedded) => this.#ipv4.isPinnable(embedded)) ?? false;
  }

  mayOpenToVm(_remote: number, port: number): boolean {
    const { words } = this;
    const embedded = this.#table.embeddedIPv4(words, 0);
    if (embedded >= 0 && !this.#ipv4.mayOpenToVm(embedded, port)) return false;
    return !isAmong(words, METADATA_WORDS) || (this.stateful && this.#table.ask(IN, words, 0, port) === ALLOWED);
  }
}
