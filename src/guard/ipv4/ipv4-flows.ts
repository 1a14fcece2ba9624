/** What flows must know of IPv4: a remote address is its own number, and the VM has one address. */
import { ALLOWED } from "../../policy/default-layer.ts";
import { IN, OUT, type Way } from "../../policy/rule-tree.ts";
import { isMetadata } from "../../policy/special-purpose.ts";
import type { PolicyTable } from "../../policy/table.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_ICMP } from "../../wire/ipv4.ts";
import { judgeKind } from "../default-policy.ts";
import type { FlowFamily } from "../flow-family.ts";
import type { NameFamily } from "../names/name-family.ts";
import type { Address } from "../names/pairs.ts";
import { AddressNumbers } from "../remotes.ts";
import type { NameAddresses } from "./name-addresses.ts";
import type { OwnAddresses } from "./own-addresses.ts";

export class IPv4Flows extends AddressNumbers implements FlowFamily, NameFamily {
  readonly icmp = PROTOCOL_ICMP;
  /** In force now. */
  table: PolicyTable;
  readonly #own: OwnAddresses;
  /** While the policy has names. */
  nameAddresses: NameAddresses | undefined;

  constructor(own: OwnAddresses, table: PolicyTable) {
    super();
    this.#own = own;
    this.table = table;
  }

  get stateful(): boolean {
    return this.table.stateful;
  }

  remoteOf(way: Way, view: FrameView): number {
    return way === OUT ? view.destination : view.source;
  }

  quotedRemoteOf(way: Way, view: FrameView): number {
    return way === OUT ? view.quotedDestination : view.quotedSource;
  }

  quotedPlaceOf(_way: Way, _view: FrameView, place: number): number {
    return place;
  }

  select(): void {}

  isGroup(remote: number): boolean {
    return this.#own.isGroup(remote);
  }

  judge(way: Way, remote: number, protocol: number, port: number, fragmented: boolean): number {
    return judgeKind(this.table.ask(way, remote, port), protocol, port, fragmented);
  }

  get decidingNumber(): number {
    return this.table.decidingNumber;
  }

  addressOf(remote: number): number {
    return remote;
  }

  isDnsServer(remote: number): boolean {
    return this.nameAddresses!.isDnsServer(remote);
  }

  outranksNames(remote: number, port: number): boolean {
    return this.nameAddresses!.outranksNames(remote, port);
  }

  isPinnable(address: Address): boolean {
    return this.nameAddresses?.isPinnable(address as number) ?? false;
  }

  mayOpenToVm(remote: number, port: number): boolean {
    return !isMetadata(remote) || (this.table.stateful && this.table.ask(IN, remote, port) === ALLOWED);
  }
}
