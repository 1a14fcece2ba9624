/**
 * Who passes what the guard would pass, too, without asking it: the express lane (lane/). The guard tells it which flows
 * it has admitted and when that ends, and asks it what it has seen of them. Without an observer nothing of this happens.
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

export interface FlowObserver {
  /** Told once, before anything else. */
  reportTo(sink: FlowSink): void;
  /**
   * A packet of a flow passed: while nothing changes, the guard passes each further one on these ways that is unfragmented and
   * has neither SYN, FIN nor RST, unless the last one was more than `patience` seconds ago. Called for each such packet.
   * `kind`: FLOW_TCP or FLOW_UDP; `ports`: the remote one in the upper half; `ways`: bits 1 << OUT and 1 << IN.
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
  /** The VM's IPv4 address, host order, 0 = none, and when it ends; microseconds on the guard's clock. */
  bind(address: number, expiry: number): void;
}
