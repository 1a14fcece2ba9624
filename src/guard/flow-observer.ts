/**
 * Who passes what the guard would pass, too, without asking it: the express lane (lane/). The guard tells it which flows
 * it has admitted and when that ends, and asks it what it has seen of them. Without an observer nothing of this happens.
 *
 * Each address family has flows of its own, whose numbers are no other's: so each has an observer of its own.
 */

/** What an observer tells of a flow's packets that it passed; `flow` as the guard gave it. */
export interface FlowSink {
  /** A packet passed in this second of the guard's clock. `acknowledgement`: the VM's last one, undefined where none was seen since the last report. */
  seen(flow: number, second: number, acknowledgement: number | undefined): void;
}

/** Who keeps something of its own by flow: the guard of names. */
export interface FlowCompanion {
  /** The flow is over; its number may be another's from now on. */
  ended(flow: number): void;
  /** All flows are over. */
  allEnded(): void;
}

/** Of one family. */
export interface FlowObserver {
  /** Told once, before anything else. */
  reportTo(sink: FlowSink): void;
  /**
   * A packet of a flow passed: while nothing changes, the guard passes each further one on these ways that is unfragmented and
   * has neither SYN, FIN nor RST, unless the last one was more than `patience` seconds ago. Called for each such packet.
   * `kind`: FLOW_TCP or FLOW_UDP, with the place of the VM's address (`withPlace`; IPv4's is 0); `remote`: of IPv4 the address in
   * host order, of IPv6 its number; `ports`: the remote one in the upper half; `ways`: bits 1 << OUT and 1 << IN.
   */
  admit(
    flow: number,
    kind: number,
    remote: number,
    ports: number,
    ways: number,
    patience: number,
    second: number,
  ): void;
  /** Reports what was seen of a flow, where it was admitted. */
  report(flow: number): void;
  /** Reports what was seen of a flow; the guard must judge its next packet. */
  withdraw(flow: number): void;
  /** The flow is over; its number may be another's from now on. */
  end(flow: number): void;
  /** All flows are over. */
  endAll(): void;
  /** What verdicts depend on has changed: nothing that was admitted before is admitted now. */
  invalidate(): void;
}

export interface IPv4Observer extends FlowObserver {
  /** IPv6's; undefined: none of its packets are passed. */
  readonly ipv6?: IPv6Observer | undefined;
  /** The VM's IPv4 address, host order, 0 = none, and when it ends; microseconds on the guard's clock. */
  bind(address: number, expiry: number): void;
}

/** Remote addresses by the numbers that flows have of them. */
export interface RemoteAddresses {
  /** Four signed words of the address that was asked about last. */
  readonly words: Int32Array;
  /** Asks about the address of a number. */
  select(number: number): void;
}

/** The VM's addresses are known by their places, 0 … 31. */
export interface IPv6Observer extends FlowObserver {
  /** Told once, before anything is admitted: what the remote numbers of flows mean. */
  resolveBy(remotes: RemoteAddresses): void;
  /**
   * The VM's valid address in a place, four signed words at `at`, and when it ends, or what packets are judged by may be
   * another thing; microseconds on the guard's clock. From then on they are left to the guard, which calls this again where
   * that is another time.
   */
  bind(place: number, words: Int32Array, at: number, expiry: number): void;
  /** The address in a place has ended. */
  unbind(place: number): void;
  /** When a packet from the address in a place has passed last; microseconds on the guard's clock, 0 = none since it is bound. */
  lastUsed(place: number): number;
}
