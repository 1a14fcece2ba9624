/**
 * A second guard, slow and obvious, written from docs/guard.md and the threat table by someone who has not read the
 * first. The two must agree on every frame (agree.test.ts): a mistake then has to be made twice, in two ways of writing.
 */
import type { GuardOptions, Verdict } from "../../src/guard/types.ts";
import { answerTo, resetOf } from "./answers.ts";
import { PASS, uint16 } from "./bytes.ts";
import { restoreBinding } from "./dhcp.ts";
import { checkArp, checkEthernet, type Direction, takeQuestion } from "./ethernet.ts";
import type { Flow } from "./flows.ts";
import { checkIpv4, isLoopback, TCP, UDP } from "./ipv4.ts";
import { answerByName6, answerTo6, resetOf6, takeNetworkReset6 } from "./ipv6/answers.ts";
import { checkIpv6 } from "./ipv6/guard.ts";
import { rejudge6, withImplied } from "./ipv6/policy.ts";
import { takeQuestion6 } from "./ipv6/savi.ts";
import { State6 } from "./ipv6/state.ts";
import { answerByName, takeNetworkReset } from "./names/answer.ts";
import { splitRules } from "./names/rules.ts";
import { COMPLETE, complete, type Judged, readHeader, sent, tellLeft } from "./offload.ts";
import { decide, rejudge } from "./policy.ts";
import { normalForm, parsePolicy, type Way } from "./rules.ts";
import { State } from "./state.ts";

/** What would be said about a packet, without sending one. */
export interface Explained {
  readonly verdict: "pass" | "drop";
  readonly reason?: string;
  /** The rule that decides, `allow out 10.0.0.0/8:22`. */
  readonly rule?: string;
  /** The line of the default policy that does. */
  readonly default?: string;
}

/** What a guard made of a frame that had a header in front of it. */
export interface Told {
  readonly judged: string;
  readonly frame: Uint8Array;
  /** The kind and the bytes with which it leaves; only of one that passes. */
  leaving(): { readonly kind: string; readonly frame: Uint8Array };
}

export class OracleGuard {
  readonly #state: State;
  /** Flows that a changed policy cut, until their resets are taken. */
  readonly #resets = new Set<Flow>();
  readonly #resets6 = new Set<Flow<bigint>>();
  /** The last frame as it was judged. */
  #judged: Judged = { frame: new Uint8Array(0), left: COMPLETE };

  /** Faults are planted bugs in the half for IPv6, by name. */
  constructor(options: GuardOptions, faults: ReadonlySet<string> = new Set()) {
    const state = new State(options);
    this.#state = state;
    if (options.ipv6) this.#beginIpv6(options, faults);
    state.onOtherNetwork = (what) => {
      if (state.ipv6 !== undefined) rejudge6(state.ipv6);
      if (rejudge(state).length > 0) state.reach(`${what} ends a flow`);
      else if (state.flows.live > 0) state.reach(`${what} ends no flow`);
    };
    const kept = options.restored?.addresses.find((one) => one.family === "ipv4");
    if (kept !== undefined) restoreBinding(state, kept);
  }

  #beginIpv6(options: GuardOptions, faults: ReadonlySet<string>): void {
    const six = new State6(this.#state, options, faults);
    this.#state.ipv6 = six;
    six.onOtherNetwork = () => rejudge6(six);
    this.#setRules(options.allow ?? [], options.block ?? []);
  }

  #setRules(allow: readonly string[], block: readonly string[]): void {
    const state = this.#state;
    const split = splitRules(allow, block);
    state.names.setRules(split.named);
    const rules = parsePolicy(split.allow, split.block);
    const implies = state.ipv6 !== undefined && !state.ipv6.fault("no rule closes the other family");
    state.rules = implies ? withImplied(rules) : rules;
  }

  /** A frame from the VM at a time in microseconds, with the virtio-net header that stands in front of it, if any. */
  egress(frame: Uint8Array, time: number, header?: Uint8Array): Verdict {
    return this.#judge("egress", frame, time, header);
  }

  /** A frame to the VM at a time in microseconds. */
  ingress(frame: Uint8Array, time: number, header?: Uint8Array): Verdict {
    return this.#judge("ingress", frame, time, header);
  }

  /** Another policy, from now on. */
  setRules(allow: readonly string[], block: readonly string[]): void {
    const state = this.#state;
    const before = state.stateful;
    this.#setRules(allow, block);
    state.fragments.forgetAll();
    const ended = rejudge(state);
    const six = state.ipv6;
    if (six !== undefined) {
      six.fragments.forgetAll();
      const cut = rejudge6(six);
      if (state.answersDenied) for (const flow of cut) if (flow.protocol === TCP) this.#resets6.add(flow);
    }
    if (state.answersDenied) for (const flow of ended) if (flow.protocol === TCP) this.#resets.add(flow);
    const kind = (stateful: boolean) => (stateful ? "stateful" : "stateless");
    const change = `${kind(before)} to ${kind(state.stateful)}`;
    if (ended.length > 0) state.reach(`another policy ends a flow, ${change}`);
    if (state.flows.live > 0) state.reach(`another policy lets a flow live on, ${change}`);
  }

  /** What the guard answers to a frame from the VM that it dropped a moment ago. */
  answer(verdict: Verdict): Uint8Array | undefined {
    const { frame, left } = this.#judged;
    const { ipv6 } = this.#state;
    if (ipv6 !== undefined && uint16(frame, 12) === 0x86dd) {
      return answerByName6(ipv6, frame) ?? answerTo6(ipv6, frame, verdict.reason ?? PASS);
    }
    const own = answerByName(this.#state, frame);
    if (own !== undefined) return own;
    const answer = answerTo(this.#state, frame, verdict.reason ?? PASS);
    if (answer !== undefined && left.kind !== "complete") this.#state.reach(`answered: ${left.kind} ${left.protocol}`);
    return answer;
  }

  /** The resets of flows that a change of the policy cut and that still are, each once. */
  takeResets(): Uint8Array[] {
    const state = this.#state;
    for (const flow of state.names4.vmResets) this.#resets.add(flow as Flow);
    state.names4.vmResets.clear();
    const resets = [...this.#resets].map((flow) => {
      if (state.flows.isStillCut(flow)) return resetOf(state, flow);
      state.reach(flow.cut ? "no reset: the flow is over" : "no reset: the flow lives again");
      return undefined;
    });
    this.#resets.clear();
    const { ipv6 } = state;
    for (const flow of ipv6?.names.vmResets ?? []) this.#resets6.add(flow as Flow<bigint>);
    ipv6?.names.vmResets.clear();
    const resets6 = [...this.#resets6].map((flow) =>
      ipv6?.flows.isStillCut(flow) ? resetOf6(flow, state.vmMac) : undefined,
    );
    this.#resets6.clear();
    if (resets6.some((reset) => reset !== undefined)) ipv6?.reach("a reset");
    return [...resets, ...resets6].filter((reset) => reset !== undefined);
  }

  /** What softnet itself is to send now, if there is something. */
  takeQuestion(): Uint8Array | undefined {
    const { ipv6 } = this.#state;
    return (
      takeNetworkReset(this.#state) ??
      (ipv6 && takeNetworkReset6(ipv6)) ??
      takeQuestion(this.#state) ??
      (ipv6 && takeQuestion6(ipv6))
    );
  }

  /** Flows that are alive. */
  get flows(): number {
    return this.#state.flows.live + (this.#state.ipv6?.flows.live ?? 0);
  }

  /** The VM's valid IPv6 addresses as text. */
  get addresses6(): string {
    return this.#state.ipv6?.described ?? "";
  }

  /** What kind of IPv6 frame passed last. */
  get note6(): string {
    return this.#state.ipv6?.note ?? "";
  }

  /** What the rules, or the defaults, say about the first packet of a flow. */
  explain(way: Way, protocol: number, remote: number, port: number | undefined): Explained {
    const known = protocol === TCP || protocol === UDP ? port : undefined;
    const { verdict, rule, line } =
      way === "out" && isLoopback(remote)
        ? { verdict: "ipv4.loopback", line: "loopback" }
        : decide(this.#state, { way, protocol, remote, port: known, fragment: false });
    return {
      ...(verdict === PASS ? { verdict: "pass" } : { verdict: "drop", reason: verdict }),
      ...(line !== undefined && { default: line }),
      ...(rule !== undefined && { rule: `${rule.action} ${normalForm(rule)}` }),
    };
  }

  /** What kind of frame passed last, `dhcp.ACK-RENEWING`: lets a test see that a generator reached it. */
  get note(): string {
    return this.#state.note;
  }

  /** How often each rare path was taken. */
  get reached(): ReadonlyMap<string, number> {
    return this.#state.reached;
  }

  /** What the last frame was judged as, and with which kind it is sent. */
  get told(): Told {
    const { frame, left } = this.#judged;
    return { judged: left.kind, frame, leaving: () => ({ kind: tellLeft(left, frame), frame: sent(this.#judged) }) };
  }

  #judge(direction: Direction, given: Uint8Array, time: number, header: Uint8Array | undefined): Verdict {
    const state = this.#state;
    state.advance(time);
    if (state.ipv6 !== undefined) {
      state.ipv6.advance();
      state.names.advance();
    }
    this.#judged = header === undefined ? { frame: given, left: COMPLETE } : complete(state, given, header);
    const { frame, left } = this.#judged;
    let result = checkEthernet(state, direction, frame, left);
    if (result === PASS) {
      const type = uint16(frame, 12);
      const check = type === 0x0806 ? checkArp : checkIpv4;
      result =
        state.ipv6 !== undefined && type === 0x86dd
          ? checkIpv6(state.ipv6, direction, frame, left)
          : check(state, direction, frame, left);
    }
    if (result === PASS && header !== undefined) {
      const ipv6 = uint16(frame, 12) === 0x86dd ? " of IPv6" : "";
      state.reach(`passes ${direction}: ${left.verified ? "verified" : left.kind} ${left.protocol}${ipv6}`);
      const completed = left.kind !== readHeader(header, given).kind;
      if (completed) state.reach(`DHCP${ipv6 && "v6"} passes with a completed checksum, ${direction}`);
    }
    return result === PASS ? { verdict: "pass" } : { verdict: "drop", reason: result };
  }
}
