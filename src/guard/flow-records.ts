/** What is known of each flow, 32 bytes in one array (flow-table.ts). */
import { ACKNOWLEDGED, CUT, IN_USE, isClosed, KIND, OPENED_BY_OTHER, placeOf, QUEUED } from "./flow-state.ts";

/** Words of a flow: the number of its remote address, and these. */
export const WORDS = 8;
export const PORTS = 1;
export const STATE = 2;
/** Second of its last packet, modulo 2³². */
export const LAST = 3;
/** The next flow with the same hash, or the next free place. */
export const NEXT = 4;
/** Last acknowledgement number that the VM sent. */
const ACKNOWLEDGEMENT = 5;
/** The Ethernet address of the other side when it was opened. */
const MAC_HIGH = 6;
const MAC_LOW = 7;

export class FlowRecords {
  protected readonly records: Int32Array;

  constructor(most: number) {
    this.records = new Int32Array(most * WORDS);
  }

  /** Whether a place holds a flow; what else is asked and noted here is for flows only. */
  isInUse(flow: number): boolean {
    return (this.records[flow * WORDS + STATE]! & IN_USE) !== 0;
  }

  kindOf(flow: number): number {
    return this.records[flow * WORDS + STATE]! & KIND;
  }

  /** Of the VM's address. */
  placeOf(flow: number): number {
    return placeOf(this.records[flow * WORDS + STATE]!);
  }

  /** Whether the other side opened it. */
  isFromOther(flow: number): boolean {
    return (this.records[flow * WORDS + STATE]! & OPENED_BY_OTHER) !== 0;
  }

  remoteOf(flow: number): number {
    return this.records[flow * WORDS]! >>> 0;
  }

  remotePortOf(flow: number): number {
    return this.records[flow * WORDS + PORTS]! >>> 16;
  }

  ownPortOf(flow: number): number {
    return this.records[flow * WORDS + PORTS]! & 0xffff;
  }

  /** Whether the VM has sent an acknowledgement number that was noted. */
  hasAcknowledgement(flow: number): boolean {
    return (this.records[flow * WORDS + STATE]! & ACKNOWLEDGED) !== 0;
  }

  acknowledgementOf(flow: number): number {
    return this.records[flow * WORDS + ACKNOWLEDGEMENT]! >>> 0;
  }

  /** The other side's Ethernet address, 48 bits. */
  macOf(flow: number): number {
    const at = flow * WORDS;
    return this.records[at + MAC_HIGH]! * 0x100000000 + (this.records[at + MAC_LOW]! >>> 0);
  }

  /** TCP: a bare SYN opens it anew. */
  isClosed(flow: number): boolean {
    return isClosed(this.records[flow * WORDS + STATE]!);
  }

  isCut(flow: number): boolean {
    return (this.records[flow * WORDS + STATE]! & CUT) !== 0;
  }

  /** Notes that a flow waits for its RST; false where it does already. */
  queue(flow: number): boolean {
    const at = flow * WORDS + STATE;
    if ((this.records[at]! & QUEUED) !== 0) return false;
    this.records[at]! |= QUEUED;
    return true;
  }

  /** It waits no longer; whether it did, and is still cut. */
  dequeue(flow: number): boolean {
    const at = flow * WORDS + STATE;
    const state = this.records[at]!;
    this.records[at] = state & ~QUEUED;
    return (state & (QUEUED | CUT)) === (QUEUED | CUT);
  }

  /** Notes the other side's Ethernet address: its upper 16 bits and its lower 32. */
  noteMac(flow: number, high: number, low: number): void {
    const at = flow * WORDS;
    this.records[at + MAC_HIGH] = high;
    this.records[at + MAC_LOW] = low;
  }

  protected setAcknowledgement(flow: number, number: number): void {
    const at = flow * WORDS;
    this.records[at + ACKNOWLEDGEMENT] = number;
    this.records[at + STATE]! |= ACKNOWLEDGED;
  }
}
