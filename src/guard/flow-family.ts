/**
 * What flows must know of an address family. A packet's remote address is a number (remotes.ts). `place`: of the own address
 * among those that the VM has, 0 … 31; IPv4 has one, with the place 0.
 */
import type { Way } from "../policy/rule-tree.ts";
import type { FrameView } from "../wire/frame-view.ts";
import type { Remotes } from "./remotes.ts";

/** Of no address of the VM's. */
export const NO_PLACE = -1;

export interface FlowFamily extends Remotes {
  /** The policy judges both directions, by flows. */
  readonly stateful: boolean;
  /** The protocol number of the family's ICMP. */
  readonly icmp: number;
  /** The remote address of a packet on its way; what is asked below is about the last one, or about the one selected. */
  remoteOf(way: Way, view: FrameView): number;
  /** The same of the packet that an ICMP error quotes, `way` being the quoted packet's own. */
  quotedRemoteOf(way: Way, view: FrameView): number;
  /** The place of the quoted packet's own address, where the error's own one has `place`. */
  quotedPlaceOf(way: Way, view: FrameView, place: number): number;
  /** Selects the remote address of a flow to ask about it. */
  select(remote: number): void;
  /** Whether the remote address is none of one machine's: it belongs to no flow. */
  isGroup(remote: number): boolean;
  /** Asks the rules, and where none counts the default policy: PASS or a drop reason's number. */
  judge(way: Way, remote: number, protocol: number, port: number, fragmented: boolean): number;
  /** The number of the rule behind what `judge` returned last (policy/rule-numbers.ts). */
  readonly decidingNumber: number;
  /** Whether a packet to the VM that passes may open a flow: not from a metadata service, unless a rule allows it (threat row I7). */
  mayOpenToVm(remote: number, port: number): boolean;
}
