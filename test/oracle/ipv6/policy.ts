/** The second guard's policy for IPv6: rules, defaults, embedded addresses, fragments, flows. */
import { PASS, uint16 } from "../bytes.ts";
import { type Flow, flowKey, halfOpenBy, isBareSyn, isClosed, portOf, tcpFlags } from "../flows.ts";
import { decide } from "../policy.ts";
import { METADATA } from "../registry.ts";
import { ask, isPrefix, type OracleRule, type Way } from "../rules.ts";
import { addressAt, inPrefix, isMulticast } from "./bytes.ts";
import { ICMPV6, type Packet6, TCP, UDP } from "./form.ts";
import { embeddedIn, isGlobal6, METADATA6 } from "./registry.ts";
import type { State6 } from "./state.ts";

export interface Question6 {
  readonly way: Way;
  readonly protocol: number;
  readonly remote: bigint;
  readonly port: number | undefined;
  readonly fragment: boolean;
}

export interface Decision6 {
  readonly verdict: string;
  readonly rule?: OracleRule;
  readonly line?: string;
}

/** A rule of the same direction closes the family that no rule speaks of. */
export function withImplied(rules: readonly OracleRule[]): readonly OracleRule[] {
  const cidrs = rules.filter(({ target }) => typeof target !== "string");
  const six = (rule: OracleRule) => typeof rule.target !== "string" && isPrefix(rule.target);
  const implied: OracleRule[] = [];
  for (const rule of rules) {
    if (rule.action !== "block" || rule.ports !== undefined || typeof rule.target === "string") continue;
    if (rule.target.length !== 0 || cidrs.some((other) => six(other) !== six(rule))) continue;
    implied.push({ ...rule, target: six(rule) ? { address: 0, length: 0 } : { prefix: 0n, length: 0 } });
  }
  return [...rules, ...implied];
}

const around = (six: State6) => ({
  gateway: undefined,
  dnsServers: [],
  hosts6: six.routerAddresses,
  dnsServers6: six.dnsServers,
});

/** What both families say about a packet. */
export function decide6(six: State6, question: Question6): Decision6 {
  const { way, remote } = question;
  if (way === "in" && !six.state.stateful) return { verdict: PASS, line: "inbound" };
  const own = decideAlone(six, question);
  if (own.verdict !== PASS) return own;
  const embedded = embeddedIn(remote, six.nat64);
  if (embedded === undefined || six.fault("embedded addresses are not asked about")) return own;
  const { verdict } = decideEmbedded(six, question, embedded);
  if (verdict !== PASS) six.reach(`an embedded address drops, ${way}, ${verdict}`);
  else six.reach(`an embedded address passes, ${way}`);
  return verdict === PASS ? own : { verdict };
}

function decideEmbedded(six: State6, question: Question6, remote: number): Decision6 {
  const { note } = six.state;
  const loopback = [0, 127].includes(Math.floor(remote / 2 ** 24));
  if (question.way === "out" && loopback) return { verdict: "ipv4.loopback" };
  const protocol = question.protocol === ICMPV6 ? 1 : question.protocol;
  const decision = decide(six.state, { ...question, protocol, remote });
  six.state.note = note;
  return decision;
}

/** Rules, then for what comes from the VM the default policy. */
function decideAlone(six: State6, question: Question6): Decision6 {
  const { way, remote, port } = question;
  const rule = ask(six.state.rules, way, remote, port, around(six));
  if (rule !== undefined) return { verdict: rule.action === "block" ? "policy.block" : PASS, rule };
  return way === "in" ? { verdict: PASS, line: "inbound" } : byDefault(six, question);
}

function byDefault(six: State6, { remote, protocol, port, fragment }: Question6): Decision6 {
  if (six.routerAddresses.includes(remote)) {
    return { verdict: [TCP, UDP, ICMPV6].includes(protocol) ? PASS : "policy.gateway", line: "gateway" };
  }
  const below = byDestination(six, remote);
  if (six.dnsServers.includes(remote) && (protocol === TCP || protocol === UDP)) {
    if (fragment) return { verdict: below.verdict === PASS ? PASS : "ipv6.fragment", line: "dns-server" };
    if (port === 53) return { verdict: PASS, line: "dns-server" };
  }
  return below;
}

function byDestination(six: State6, remote: bigint): Decision6 {
  if (isMulticast(remote)) return { verdict: "policy.multicast", line: "multicast" };
  if (METADATA6.includes(remote)) return { verdict: "policy.metadata", line: "metadata" };
  const onLink = [...six.prefixes.filter((one) => one.onLink), ...(six.ownPrefix ? [six.ownPrefix] : [])];
  if (onLink.some((prefix) => inPrefix(prefix, remote)) && !six.fault("neighbours are not closed")) {
    return { verdict: "policy.on-link", line: "on-link" };
  }
  const open = isGlobal6(remote) || six.nat64.some((prefix) => inPrefix(prefix, remote));
  return { verdict: open ? PASS : "policy.destination", line: open ? "global" : "not-global" };
}

interface Judgement {
  readonly reason: string;
  readonly commit?: () => void;
}

const remoteOf = (way: Way, { source, destination }: Packet6): bigint => (way === "out" ? destination : source);

export function checkPolicy6(six: State6, fromVm: boolean, packet: Packet6): string {
  const { state } = six;
  const way: Way = fromVm ? "out" : "in";
  six.note = `ipv6.${way}.${nameOf(packet.protocol)}`;
  const noted = packet.fragment && (fromVm || state.stateful);
  if (noted && !packet.first) return laterFragment(six, way, packet);
  const needsToken = packet.fragment && fromVm;
  if (needsToken && !six.fragmentBucket.has(six.now)) return "ipv6.fragment-rate";

  const judged = state.stateful ? judgeByFlow(six, way, packet) : judgeAndNote(six, way, packet);
  const { reason, commit } =
    state.names.active && judged.reason === PASS ? six.names.last(way, packet, judged.commit) : judged;
  const exposed = reason === "policy.block" || reason === "flow.unknown";
  if (exposed && fromVm && six.routerAddresses.includes(packet.destination) && mayAnswer(six, packet)) {
    six.note = "ipv6.exposed-answer";
    return PASS;
  }
  if (reason !== PASS) return reason;
  const echo = packet.protocol === ICMPV6 && packet.first && [128, 129].includes(packet.payload[0]!);
  if (fromVm && echo && !six.echoBucket.take(six.now)) return "icmp.rate";
  if (needsToken) six.fragmentBucket.take(six.now);
  commit?.();
  if (noted) {
    six.fragments.note(way, fragmentOf(six, way, packet), six.second);
    six.note = `ipv6.${way}.first-fragment`;
  }
  return PASS;
}

function nameOf(protocol: number): string {
  return { [TCP]: "TCP", [UDP]: "UDP", [ICMPV6]: "ICMPv6" }[protocol] ?? "other";
}

function fragmentOf(six: State6, way: Way, packet: Packet6) {
  const isOwn = six.isValid(way === "out" ? packet.source : packet.destination);
  return { ...packet, isOwn, protocol: 0, payload: new Uint8Array(packet.fragmentLength) };
}

function laterFragment(six: State6, way: Way, packet: Packet6): string {
  const fragment = fragmentOf(six, way, packet);
  const firstEnd = six.fragments.firstEnd(way, fragment);
  if (firstEnd === undefined) return "ipv6.fragment-unknown";
  if (packet.offset < firstEnd && !six.fault("overlapping fragments pass")) {
    six.reach(`a fragment overlaps, ${way}`);
    return "ipv6.fragment";
  }
  if (way === "out" && !six.fragmentBucket.take(six.now)) return "ipv6.fragment-rate";
  const followed = six.fragments.follow(way, fragment);
  if (way === "out") six.fragmentBucket.giveBack(followed.tokens);
  six.note = `ipv6.${way}.later-fragment`;
  six.reach(`a later fragment, ${followed.kind}, ${way}`);
  return PASS;
}

/** TCP in one piece from an exposed port, but not the first segment of a connection. */
function mayAnswer(six: State6, packet: Packet6): boolean {
  const { protocol, fragment, payload } = packet;
  return protocol === TCP && !fragment && six.state.exposedPorts.includes(uint16(payload, 0)) && !isBareSyn(packet);
}

// Flows

/** The flow that a packet with these first bytes belongs to, of this address of the VM's. */
export function keyOf6(way: Way, protocol: number, own: bigint, remote: bigint, payload: Uint8Array) {
  if (protocol === TCP || protocol === UDP) {
    return `${own} ${flowKey(way, protocol, 0, payload)} ${remote}`;
  }
  if (protocol !== ICMPV6 || ![128, 129].includes(payload[0]!)) return undefined;
  const asker = (payload[0] === 128) === (way === "out") ? "the VM asks" : "the remote side asks";
  return `${own} echo ${uint16(payload, 4)} ${asker} ${remote}`;
}

export function keyOfPacket(way: Way, packet: Packet6): string | undefined {
  const { protocol, source, destination, first, payload } = packet;
  if (!first) return undefined;
  const [own, remote] = way === "out" ? [source, destination] : [destination, source];
  return keyOf6(way, protocol, own, remote, payload);
}

/** Between a valid address and one remote side. */
function isBetweenTwo(six: State6, way: Way, packet: Packet6): boolean {
  const own = way === "out" ? packet.source : packet.destination;
  return six.isValid(own) && !isMulticast(remoteOf(way, packet));
}

function questionOf(way: Way, packet: Packet6): Question6 {
  const { protocol, fragment } = packet;
  return { way, protocol, fragment, remote: remoteOf(way, packet), port: portOf(packet) };
}

function judgeByFlow(six: State6, way: Way, packet: Packet6): Judgement {
  const { flows, second, state } = six;
  const question = questionOf(way, packet);
  const asked = packet.fragment && !state.byPort ? { ...question, port: undefined } : question;
  const verdict = (): string => {
    const { verdict, rule } = decide6(six, asked);
    return state.names.active ? six.names.opening(way, packet, verdict, rule) : verdict;
  };
  if (!isBetweenTwo(six, way, packet)) return { reason: verdict() };
  if (isError(packet)) return { reason: judgeError(six, way, packet) };
  const key = keyOfPacket(way, packet);
  if (key === undefined) return { reason: verdict() };

  const flow = flows.get(key);
  const bareSyn = isBareSyn(packet);
  if (flow !== undefined && !bareSyn) {
    if (!flow.cut) return { reason: PASS, commit: () => void flows.touch(flow, way, packet, second) };
    if (flow.way !== way || six.names.broken.has(flow)) {
      flows.keep(flow, second);
      const isBare = packet.payload.length <= Math.floor(packet.payload[12]! / 16) * 4 && !tcpFlags(packet).fin;
      return { reason: way === "out" && isBare && six.names.broken.has(flow) ? "name.segment" : "flow.cut" };
    }
  }
  const said = verdict();
  if (flow === undefined && !bareSyn && packet.protocol === TCP && said !== PASS) return { reason: "flow.unknown" };
  if (said !== PASS) return { reason: said };
  const anew = flow !== undefined && six.names.beginsAnew(way, packet, flow);
  if (flow !== undefined && bareSyn && !flow.cut && !isClosed(flow) && !anew) {
    return { reason: PASS, commit: () => flows.keep(flow, second) };
  }
  if (!mayOpen(six, question, packet)) return { reason: PASS };
  const refusal = flows.refusalWithout(flow, way, packet, second);
  if (refusal !== undefined) {
    if (flow !== undefined) flows.delete(key);
    return { reason: refusal };
  }
  return { reason: PASS, commit: () => openAnew(six, key, flow, way, packet) };
}

/** A stateless policy knows of flows only to be ready for another policy. */
function judgeAndNote(six: State6, way: Way, packet: Packet6): Judgement {
  const { flows, second, state } = six;
  const question = questionOf(way, packet);
  if (way === "out") {
    const asked = packet.fragment && !state.byPort ? { ...question, port: undefined } : question;
    const { verdict } = decide6(six, asked);
    if (verdict !== PASS) return { reason: verdict };
  }
  const key = keyOfPacket(way, packet);
  if (!state.live || key === undefined || !isBetweenTwo(six, way, packet)) return { reason: PASS };
  const flow = flows.get(key);
  const commit = (): void => {
    if (flow !== undefined && !(!flow.cut && isClosed(flow) && isBareSyn(packet))) {
      if (isBareSyn(packet)) flows.keep(flow, second);
      else flows.touch(flow, way, packet, second);
      return;
    }
    if (!mayOpen(six, question, packet)) return;
    const refusal = flows.refusalWithout(flow, way, packet, second);
    if (refusal === undefined) openAnew(six, key, flow, way, packet);
    else if (flow !== undefined) flows.delete(key);
  };
  return { reason: PASS, commit };
}

function openAnew(six: State6, key: string, old: Flow<bigint> | undefined, way: Way, packet: Packet6): void {
  if (old !== undefined) six.flows.delete(key);
  six.flows.makeRoom(way, six.second);
  six.flows.open(key, way, packet, six.second);
  six.reach(`a flow opens ${way}, ${nameOf(packet.protocol)}${halfOpenBy(way, packet) ? ", half-open" : ""}`);
}

/** An echo answer opens nothing, nor does what comes from a metadata address, unless an allow rule decides about it. */
function mayOpen(six: State6, question: Question6, packet: Packet6): boolean {
  if (packet.protocol === ICMPV6 && packet.payload[0] === 129) return false;
  if (question.way === "out") return true;
  const { state } = six;
  if (METADATA6.includes(question.remote)) {
    const allowed = state.stateful && decideAlone(six, question).rule?.action === "allow";
    six.reach(allowed ? "a rule lets a metadata address open a flow" : "a metadata address opens no flow");
    if (!allowed) return false;
  }
  const embedded = embeddedIn(question.remote, six.nat64);
  if (embedded === undefined || !METADATA.includes(embedded)) return true;
  const rule = state.stateful ? decideEmbedded(six, question, embedded).rule : undefined;
  six.reach(`an embedded metadata address opens ${rule?.action === "allow" ? "a" : "no"} flow`);
  return rule?.action === "allow";
}

// ICMPv6 errors

export function isError({ protocol, first, payload }: Packet6): boolean {
  return protocol === ICMPV6 && first && payload[0]! >= 1 && payload[0]! <= 4;
}

interface Quotation {
  readonly source: bigint;
  readonly destination: bigint;
  readonly protocol: number;
  /** Of its upper layer. */
  readonly payload: Uint8Array;
}

/** What an error quotes, where it quotes something in the right form. */
export function quotationOf(six: State6, packet: Packet6): Quotation | undefined {
  const { payload } = packet;
  if (packet.fragment) return undefined;
  const mtu = uint16(payload, 4) * 65_536 + uint16(payload, 6);
  if (payload[0] === 2 && mtu < 1280 && !six.fault("Packet Too Big with any MTU")) return undefined;
  const quoted = payload.slice(8);
  if (quoted.length < 40 || Math.floor(quoted[0]! / 16) !== 6) return undefined;
  let protocol = quoted[6]!;
  let rest = quoted.slice(40);
  if (protocol === 44) {
    if (rest.length < 8 || Math.floor(uint16(rest, 2) / 8) !== 0) return undefined;
    protocol = rest[0]!;
    rest = rest.slice(8);
  }
  if (![TCP, UDP, ICMPV6].includes(protocol) || rest.length < 8) return undefined;
  return { source: addressAt(quoted, 8), destination: addressAt(quoted, 24), protocol, payload: rest };
}

function judgeError(six: State6, way: Way, packet: Packet6): string {
  const quoted = quotationOf(six, packet)!;
  const [own, remote] = way === "in" ? [quoted.source, quoted.destination] : [quoted.destination, quoted.source];
  const key = keyOf6(way === "in" ? "out" : "in", quoted.protocol, own, remote, quoted.payload);
  const flow = key === undefined ? undefined : six.flows.get(key);
  if (six.fault("errors about no flow pass")) return PASS;
  if (flow === undefined || flow.cut) return "flow.icmp";
  six.note = `ipv6.${way}.error-of-flow`;
  return PASS;
}

/** All flows once more; the newly cut are told. */
export function rejudge6(six: State6): Flow<bigint>[] {
  return six.flows.list().filter((flow) => {
    const { way, protocol, remote, port } = flow;
    const { verdict, rule } = decide6(six, { way, protocol, remote, port, fragment: false });
    const byName = verdict === "policy.block" && six.state.names.active && six.names.keeps(flow, rule);
    const passes = (verdict === PASS || byName) && !six.names.broken.has(flow);
    const change = flow.cut === passes;
    six.flows.setCut(flow, !passes);
    if (change) six.reach(passes ? "a cut flow lives again" : "a flow is cut");
    return change && !passes;
  });
}
