/**
 * The second guard's policy: fragments, flows, rules and the defaults. A judgement is a reason and, for what
 * passes, what is to be remembered of it: nothing changes before the last check has passed.
 */
import { contains, edges, PASS, prefixLength, uint16, uint32 } from "./bytes.ts";
import type { Direction } from "./ethernet.ts";
import { type Flow, flowKey, halfOpenBy, isBareSyn, isClosed, lifetime, portOf, tcpFlags } from "./flows.ts";
import { ICMP, isIcmpError, type Packet, TCP, UDP } from "./ipv4.ts";
import { BROADCAST, isGloballyReachable, METADATA, MULTICAST } from "./registry.ts";
import { aliasMeets, ask, type OracleRule, type Way } from "./rules.ts";
import type { State } from "./state.ts";

/** What is asked about: a packet, or the packet that opened a flow. */
interface Question {
  readonly way: Way;
  readonly protocol: number;
  readonly remote: number;
  readonly port: number | undefined;
  readonly fragment: boolean;
}

interface Judgement {
  readonly reason: string;
  /** What is remembered when every other check has passed too. */
  readonly commit?: () => void;
}

/** The last address of the binding's subnet, or without its netmask of the network's, where that leaves room for one. */
export function directedBroadcast(state: State): number | undefined {
  if (state.binding === undefined) return undefined;
  const { address, netmask } = state.binding;
  if (netmask === undefined) {
    if (state.subnet !== undefined) state.reach("the network's own subnet has the broadcast address");
    return state.subnet && edges(state.subnet)?.last;
  }
  const length = prefixLength(netmask);
  return length === undefined ? undefined : edges({ address, length })?.last;
}

/** Nobody's address: what is sent there is meant for several. */
export function isForSeveral(state: State, address: number): boolean {
  return address === BROADCAST || contains(MULTICAST, address) || address === directedBroadcast(state);
}

/** What a policy says, and the rule that decides or the line of the default policy. */
export interface Decision {
  readonly verdict: string;
  readonly rule?: OracleRule;
  readonly line?: string;
}

/** Rules, then for what comes from the VM the default policy. */
export function decide(state: State, question: Question): Decision {
  const { way, remote, port } = question;
  if (way === "in" && !state.stateful) return { verdict: PASS, line: "inbound" };
  const around = { gateway: state.gateway, dnsServers: state.binding?.dnsServers ?? [] };
  const rule = ask(state.rules, way, remote, port, around);
  if (rule !== undefined) return { verdict: rule.action === "block" ? "policy.block" : PASS, rule };
  return way === "in" ? { verdict: PASS, line: "inbound" } : byDefault(state, question);
}

/** The verdict on a packet, with the rule counted. */
function judgeByRules(state: State, question: Question): string {
  const { verdict, rule } = decide(state, question);
  if (rule !== undefined) {
    const around = { gateway: state.gateway, dnsServers: state.binding?.dnsServers ?? [] };
    const meets = aliasMeets(state.rules, question.way, question.remote, question.port, around);
    if (meets !== undefined)
      state.reach(`a rule with a port ${meets === "opens" ? "opens a part of" : "does not open"} a blocked alias`);
    const place = typeof rule.target === "string" ? rule.target : "a CIDR";
    state.reach(`${rule.action} ${rule.way ?? "bare"} ${place}${rule.ports ? " with ports" : ""} decides`);
  }
  return verdict;
}

function byDefault(state: State, question: Question): Decision {
  const { remote, protocol, port, fragment } = question;
  if (remote === state.gateway) {
    state.note = "ipv4.gateway";
    return { verdict: [TCP, UDP, ICMP].includes(protocol) ? PASS : "policy.gateway", line: "gateway" };
  }

  const below = byDestination(state, remote);
  if (state.binding?.dnsServers.includes(remote) && (protocol === TCP || protocol === UDP)) {
    if (fragment) return { verdict: below.verdict === PASS ? PASS : "ipv4.fragment", line: "dns-server" };
    if (port === 53) {
      state.note = "ipv4.dns";
      return { verdict: PASS, line: "dns-server" };
    }
  }
  return below;
}

function byDestination(state: State, destination: number): Decision {
  if (destination === BROADCAST || destination === directedBroadcast(state)) {
    return { verdict: "policy.broadcast", line: "broadcast" };
  }
  if (contains(MULTICAST, destination)) return { verdict: "policy.multicast", line: "multicast" };
  if (METADATA.includes(destination)) return { verdict: "policy.metadata", line: "metadata" };
  state.note = "ipv4.global";
  return isGloballyReachable(destination)
    ? { verdict: PASS, line: "global" }
    : { verdict: "policy.destination", line: "not-global" };
}

/** TCP in one piece from an exposed port, but not the first segment of a connection. */
function mayAnswer(state: State, packet: Packet): boolean {
  const { protocol, fragment, payload } = packet;
  if (protocol !== TCP || fragment || !state.exposedPorts.includes(uint16(payload, 0))) return false;
  if (isBareSyn(packet)) {
    state.reach("a bare SYN from an exposed port to the blocked gateway");
    return false;
  }
  return true;
}

/** The whole of step 11's fragments and policy, or for a packet to the VM of step 10's; the echo bucket comes behind it. */
export function checkPolicy(state: State, direction: Direction, packet: Packet): string {
  const way: Way = direction === "egress" ? "out" : "in";
  state.note = way === "in" ? "ipv4.ingress" : "ipv4.rule";
  const noted = packet.fragment && (way === "out" || state.stateful);
  if (noted && !packet.first) return laterFragment(state, way, packet);
  const needsToken = packet.fragment && way === "out";
  if (needsToken && !state.fragmentBucket.has(state.now)) {
    state.reach("no token for a first fragment");
    return "ipv4.fragment-rate";
  }

  const judged = state.stateful ? judgeByFlow(state, way, packet) : judgeAndNote(state, way, packet);
  const { reason, commit } =
    state.names.active && judged.reason === PASS ? state.names4.last(way, packet, judged.commit) : judged;
  const exposed = reason === "policy.block" || reason === "flow.unknown";
  if (exposed && way === "out" && packet.destination === state.gateway && mayAnswer(state, packet)) {
    if (reason === "flow.unknown") state.reach("an exposed port's answer of an unknown flow");
    state.note = "ipv4.exposed-answer";
    return PASS;
  }
  if (reason !== PASS) return reason;
  if (way === "out" && isEcho(packet) && !state.echoBucket.take(state.now)) return "icmp.rate";
  if (needsToken) state.fragmentBucket.take(state.now);
  commit?.();
  if (noted) {
    const whose = state.fragments.note(way, packet, state.second);
    if (whose === "its own") state.reach("a first fragment noted again");
    else if (whose !== undefined) state.reach(`a first fragment takes the place of the oldest ${whose}, ${way}`);
  }
  return PASS;
}

function laterFragment(state: State, way: Way, packet: Packet): string {
  const kind = state.stateful ? "stateful" : "stateless";
  const age = state.fragments.age(way, packet, state.second);
  if (age === undefined) return "ipv4.fragment-unknown";
  if (way === "out" && !state.fragmentBucket.take(state.now)) {
    state.reach("no token for a later fragment");
    return "ipv4.fragment-rate";
  }
  state.reach(`a later fragment follows its first, ${way}, ${kind}`);
  if (age === 30) state.reach("a later fragment in its last second");
  const followed = state.fragments.follow(way, packet);
  state.reach(`a later fragment, ${followed.kind}, ${way}`);
  if (way === "out") state.fragmentBucket.giveBack(followed.tokens);
  return PASS;
}

function isEcho({ protocol, first, payload }: Packet): boolean {
  return protocol === ICMP && first && (payload[0] === 8 || payload[0] === 0);
}

function questionOf(way: Way, packet: Packet): Question {
  const remote = way === "out" ? packet.destination : packet.source;
  return { way, protocol: packet.protocol, remote, port: portOf(packet), fragment: packet.fragment };
}

/** Between the bound address and one remote side: only such packets are part of flows. */
function isBetweenTwo(state: State, way: Way, packet: Packet): boolean {
  if (state.binding === undefined) return false;
  const remote = way === "out" ? packet.destination : packet.source;
  if (isForSeveral(state, remote)) {
    state.reach(`a packet of nobody's address only asks, ${way}`);
    return false;
  }
  return way === "out" || packet.destination === state.binding.address;
}

function keyOf(way: Way, packet: Packet): string | undefined {
  if (!packet.first) return undefined;
  return flowKey(way, packet.protocol, way === "out" ? packet.destination : packet.source, packet.payload);
}

/** A packet under a stateful policy. */
function judgeByFlow(state: State, way: Way, packet: Packet): Judgement {
  const question = questionOf(way, packet);
  const askOnly = (): string => {
    const verdict = judgeByRules(state, question);
    return state.names.active ? state.names4.opening(way, packet, verdict, decide(state, question).rule) : verdict;
  };
  if (!isBetweenTwo(state, way, packet)) {
    if (isIcmpError(packet)) state.reach(`an ICMP error that only asks, ${way}`);
    return { reason: askOnly() };
  }
  if (isIcmpError(packet)) return { reason: judgeError(state, way, packet) };
  const key = keyOf(way, packet);
  if (key === undefined) return { reason: askOnly() };

  const flow = state.flows.get(key);
  const bareSyn = isBareSyn(packet);
  if (flow !== undefined && !bareSyn) {
    if (!flow.cut) {
      noteUse(state, flow, way, packet);
      return { reason: PASS, commit: () => use(state, flow, way, packet) };
    }
    if (flow.way !== way || state.names4.broken.has(flow)) {
      state.reach(`the far side of a cut flow goes on, ${way}`);
      state.flows.keep(flow, state.second);
      const isBare = packet.payload.length <= Math.floor(packet.payload[12]! / 16) * 4 && !tcpFlags(packet).fin;
      if (way === "out" && isBare && state.names4.broken.has(flow)) return { reason: "name.segment" };
      return { reason: "flow.cut" };
    }
  }

  const verdict = askOnly();
  if (flow === undefined && !bareSyn && packet.protocol === TCP && verdict !== PASS) {
    state.reach(`an unknown flow, ${way}, for ${verdict}`);
    return { reason: "flow.unknown" };
  }
  const anew = flow !== undefined && state.names4.beginsAnew(way, packet, flow);
  if (flow !== undefined && bareSyn && !flow.cut && !isClosed(flow) && !anew) {
    state.reach(`a bare SYN of a live flow ${verdict === PASS ? "passes" : "drops"}`);
    if (flow.way !== way) state.reach("a bare SYN against the flow's direction");
    if (verdict !== PASS) return { reason: verdict };
    return { reason: PASS, commit: () => state.flows.keep(flow, state.second) };
  }
  if (verdict !== PASS || !mayOpen(state, question, packet)) return { reason: verdict };

  // A cut or closed flow gives its place back first, also where its successor finds none.
  const before = state.flows.refusalWithout(flow, way, packet, state.second);
  if (before !== undefined) {
    noteRefusal(state, way, packet, before);
    if (flow !== undefined) state.flows.delete(key);
    state.reach(`${before}, ${way}`);
    return { reason: before };
  }
  const commit = (): void => {
    if (flow !== undefined) {
      noteAnew(state, flow, way);
      state.flows.delete(key);
    }
    open(state, key, way, packet);
  };
  return { reason: PASS, commit };
}

/** A packet under a stateless policy, which knows of flows only to be ready for another policy. */
function judgeAndNote(state: State, way: Way, packet: Packet): Judgement {
  const question = questionOf(way, packet);
  if (way === "out") {
    const verdict = judgeByRules(state, question);
    if (verdict !== PASS) return { reason: verdict };
  }
  const key = keyOf(way, packet);
  if (!state.live || key === undefined || !isBetweenTwo(state, way, packet)) return { reason: PASS };

  const flow = state.flows.get(key);
  const anew = flow !== undefined && !flow.cut && isClosed(flow) && isBareSyn(packet);
  const commit = (): void => {
    if (flow === undefined || anew) {
      if (!mayOpen(state, question, packet)) return;
      const refusal = state.flows.refusalWithout(flow, way, packet, state.second);
      if (flow !== undefined) {
        noteAnew(state, flow, way);
        state.flows.delete(key);
      }
      if (refusal === undefined) {
        open(state, key, way, packet);
      } else {
        state.reach(`${refusal}, stateless`);
        noteRefusal(state, way, packet, refusal);
      }
    } else if (isBareSyn(packet)) {
      state.flows.keep(flow, state.second);
    } else {
      use(state, flow, way, packet);
    }
  };
  return { reason: PASS, commit };
}

/** An echo answer opens nothing, nor does what comes from a metadata address, unless an allow rule decides about it. */
function mayOpen(state: State, question: Question, packet: Packet): boolean {
  if (packet.protocol === ICMP && packet.payload[0] === 0) {
    state.reach("an echo answer opens nothing");
    return false;
  }
  if (question.way === "out" || !METADATA.includes(question.remote)) return true;
  const allowed = state.stateful && decide(state, question).rule?.action === "allow";
  const kind = state.stateful ? "stateful" : "stateless";
  state.reach(allowed ? "a rule lets a metadata address open a flow" : `a metadata address opens no flow, ${kind}`);
  return allowed;
}

/** A packet of a flow passes. */
function use(state: State, flow: Flow, way: Way, packet: Packet): void {
  const { halfOpen } = flow;
  const kind = state.stateful ? "" : ", stateless";
  if (state.flows.touch(flow, way, packet, state.second)) {
    state.reach(`a RST ends a half-open flow, ${halfOpen} ${flow.way}${kind}`);
  } else if (halfOpen === "mid-stream" && flow.halfOpen === undefined) {
    state.reach(`the VM answers in mid-stream${kind}`);
  }
}

/** A bare SYN opens a flow anew that was there before. */
function noteAnew(state: State, flow: Flow, way: Way): void {
  if (flow.cut) {
    if (flow.way !== way) state.reach("a bare SYN from its far side opens a cut flow anew");
    return;
  }
  const { finished, reset } = flow;
  const how = finished.size === 2 ? "FIN" : `RST from ${reset.has("out") ? "the VM" : "outside"}`;
  state.reach(`a closed flow opens anew after ${how}${state.stateful ? "" : ", stateless"}`);
  if (reset.size > 0 && finished.size < 2) return;
  state.reach(`a closed flow opens anew ${flow.way === way ? "from the same side" : "from the other side"}`);
}

/** Which of the bounds it was. */
function noteRefusal(state: State, way: Way, packet: Packet, reason: string): void {
  const kind = state.stateful ? "stateful" : "stateless";
  if (reason === "flow.half-open")
    state.reach(`no room for a half-open flow, ${halfOpenBy(way, packet)} ${way}, ${kind}`);
  else if (state.flows.size < 32_768) state.reach(`no room for a flow to the VM, ${kind}`);
}

function open(state: State, key: string, way: Way, packet: Packet): void {
  const kind = packet.protocol === ICMP ? "an echo" : packet.protocol === UDP ? "a UDP" : "a TCP";
  const how = packet.protocol === TCP && !isBareSyn(packet) ? " in mid-stream" : "";
  state.reach(`${kind} flow opens ${way}${how}`);
  if (packet.fragment) state.reach("a first fragment opens a flow");
  const other: Way = way === "out" ? "in" : "out";
  const remote = way === "out" ? packet.destination : packet.source;
  if (halfOpenBy(way, packet) !== undefined && state.flows.halfOpen(other, remote) >= 256) {
    state.reach(`room for a half-open flow beside those of the other side, ${way}`);
  }
  if (way === "out" && state.flows.toVm >= 16_384) state.reach("room for a flow of the VM beside those to it");
  const room = state.flows.makeRoom(way, state.second);
  if (room !== undefined) {
    const what = room.of === "ended" ? "flows ended longest ago" : "flows idle longest";
    state.reach(`${what} are over, ${room.which === "in" ? "to the VM" : "of all"}`);
    if (room.ended.some((flow) => flow.cut)) state.reach("a cut flow idle longest is over");
  }
  state.flows.open(key, way, packet, state.second);
}

/** Counts what is worth reaching in the life of a flow. */
function noteUse(state: State, flow: Flow, way: Way, packet: Packet): void {
  const kind = flow.protocol === ICMP ? "an echo" : flow.protocol === UDP ? "a UDP" : "a TCP";
  state.reach(`${kind} flow carries a packet ${way === flow.way ? "on" : "back"}, opened ${flow.way}`);
  const { syn, rst } = flow.protocol === TCP ? tcpFlags(packet) : { syn: true, rst: true };
  if (flow.halfOpen === "handshake" && flow.answered && way === flow.way && !syn && !rst) {
    state.reach("a handshake is complete");
  }
  if (state.second - flow.last === lifetime(flow)) {
    const of = isClosed(flow) ? "a closed" : flow.protocol === ICMP ? "an echo" : "a";
    state.reach(`a packet in the last of ${of} flow's ${lifetime(flow)} seconds`);
  }
  if (flow.reset.size > 0 && isClosed(flow) && !rst && !syn && flow.finished.size < 2) {
    state.reach(`a RST is ${flow.reset.has(way) ? "taken back" : "not believed"}`);
  }
  const { note } = state;
  if (decide(state, questionOf(way, packet)).verdict !== PASS) state.reach(`a flow carries what no rule would, ${way}`);
  state.note = note;
}

/** An ICMP error of the right form must quote a packet of a live flow, sent in the other direction (threat row I14). */
function judgeError(state: State, way: Way, packet: Packet): string {
  const quoted = packet.payload.slice(8);
  const remote = way === "out" ? packet.destination : uint32(quoted, 16);
  const back: Way = way === "out" ? "in" : "out";
  const key = flowKey(back, quoted[9]!, remote, quoted.slice(20, 28));
  const flow = key === undefined ? undefined : state.flows.get(key);
  if (flow?.cut) state.reach(`an error about a cut flow, ${way}`);
  if (flow === undefined || flow.cut) return "flow.icmp";
  const kind = flow.protocol === ICMP ? "an echo" : flow.protocol === UDP ? "a UDP" : "a TCP";
  state.reach(`an error about ${kind} flow, ${way}`);
  return PASS;
}

/**
 * All flows once more, each as the packet that opened it would be judged now: those that would not pass are cut, those
 * that would live. The newly cut are told.
 */
export function rejudge(state: State): Flow[] {
  return state.flows.list().filter((flow) => {
    const { verdict, rule } = decide(state, { ...flow, fragment: false });
    const byName = verdict === "policy.block" && state.names.active && state.names4.keeps(flow, rule);
    const passes = (verdict === PASS || byName) && !state.names4.broken.has(flow);
    const change = flow.cut === passes;
    if (change && passes) state.reach("a cut flow lives again");
    state.flows.setCut(flow, !passes);
    return change && !passes;
  });
}

/** Whether a packet from the VM belongs to a flow that is cut. */
export function isOfCutFlow(state: State, packet: Packet): boolean {
  const key = keyOf("out", packet);
  return key !== undefined && state.flows.get(key)?.cut === true;
}
