/**
 * The guard: what passes between a VM and its network. Pure: bytes and a time go in, a verdict comes out; docs/guard.md
 * is its specification. This file is the walk of a frame, the same in both directions at first (length, Ethernet, type)
 * and then through ARP (arp-guard.ts), DHCP (dhcp-egress.ts, dhcp-ingress.ts) or IPv4, here, and policy (policy-guard.ts).
 *
 * The relay calls `advance` once a batch and the two judges for each frame; nothing on that way allocates, and all that
 * is compared is a number.
 */
import { netmaskOf, parseCidr, parseRules, type Rule } from "../policy/rule.ts";
import { isNever } from "../policy/special-purpose.ts";
import { UserError } from "../user-error.ts";
import { BROADCAST_MAC, isGroupMac, isHostAddress, parseIPv4, parseMac } from "../wire/address.ts";
import { ARP_REQUEST, emitArp } from "../wire/arp.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessage } from "../wire/dhcp.ts";
import { parseHostname } from "../wire/dhcp-names.ts";
import { ETHERNET_HEADER, emitEthernet, TYPE_ARP, TYPE_IPV4, TYPE_IPV6 } from "../wire/ethernet.ts";
import { FrameView } from "../wire/frame-view.ts";
import { ICMP_REDIRECT, ICMP_ROUTER_ADVERTISEMENT, ICMP_ROUTER_SOLICITATION, isIcmpError } from "../wire/icmp.ts";
import { PROTOCOL_UDP } from "../wire/ipv4.ts";
import { SHORT } from "../wire/malformed.ts";
import { ArpGuard } from "./ipv4/arp-guard.ts";
import { DhcpEgress } from "./ipv4/dhcp-egress.ts";
import { DhcpIngress } from "./ipv4/dhcp-ingress.ts";
import type { DhcpState } from "./ipv4/dhcp-state.ts";
import { ExposedPorts } from "./ipv4/exposed-ports.ts";
import { GatewayWatch, NO_QUESTION, UNKNOWN_MAC } from "./ipv4/gateway-watch.ts";
import { isAboutPacketOf, isAboutPacketTo } from "./ipv4/icmp-quote.ts";
import { judgeIPv4Form } from "./ipv4/ipv4-form.ts";
import { Lease } from "./ipv4/lease.ts";
import { OwnRequest } from "./ipv4/own-request.ts";
import { PendingAddresses } from "./ipv4/recent.ts";
import { restore } from "./ipv4/restore.ts";
import { Transactions } from "./ipv4/transactions.ts";
import { PolicyGuard } from "./policy-guard.ts";
import { DROP_REASONS, PASS, verdictOf } from "./reasons.ts";
import type {
  Binding,
  BindingChange,
  Explanation,
  GuardOptions,
  PolicyQuestion,
  RestoredBinding,
  Verdict,
} from "./types.ts";

const FRAME_SHORT = verdictOf("frame.short");
const FRAME_LONG = verdictOf("frame.long");
const ETHERNET_SOURCE = verdictOf("ethernet.source");
const ETHERNET_DESTINATION = verdictOf("ethernet.destination");
const ETHERNET_TYPE = verdictOf("ethernet.type");
const ETHERNET_IPV6 = verdictOf("ethernet.ipv6");
const IPV4_UNBOUND = verdictOf("ipv4.unbound");
const IPV4_SOURCE = verdictOf("ipv4.source");
const IPV4_LOOPBACK = verdictOf("ipv4.loopback");
const GROUP_FRAME = verdictOf("ipv4.group-frame");
const ICMP_QUOTE = verdictOf("icmp.quote");
const ICMP_ROUTER = verdictOf("icmp.router");
const POLICY_BLOCK = verdictOf("policy.block");
const FLOW_UNKNOWN = verdictOf("flow.unknown");
const DHCP_PORTS = verdictOf("dhcp.ports");
const DHCP_FRAGMENT = verdictOf("dhcp.fragment");

const DEFAULT_MTU = 1500;
const SMALLEST_MTU = 68;
const LARGEST_MTU = 65_521;

const PASSED: Verdict = Object.freeze({ verdict: "pass" });
const DROPPED: readonly Verdict[] = DROP_REASONS.map(({ name }) => Object.freeze({ verdict: "drop", reason: name }));

/** The shared, frozen object for a verdict's number. */
export function verdictObject(verdict: number): Verdict {
  return verdict === PASS ? PASSED : DROPPED[verdict - 1]!;
}

/**
 * Makes a guard for one VM. Throws UserError when an option is wrong.
 *
 * @example
 * const guard = createGuard({ macAddress: "02:00:00:00:00:01", block: ["10.0.0.0/8"] });
 * const { verdict, reason } = guard.egress(frame, performance.now() * 1000);
 */
export function createGuard(options: GuardOptions): Guard {
  return new Guard(options);
}

export class Guard {
  readonly #mac: number;
  readonly #macHigh: number;
  readonly #macLow: number;
  readonly #longestFrame: number;
  readonly #exposed: ExposedPorts;
  readonly #lease: Lease;
  readonly #gateway: GatewayWatch;
  readonly #ownRequest: OwnRequest;
  readonly #pending = new PendingAddresses();
  readonly #arp: ArpGuard;
  readonly #dhcpEgress: DhcpEgress;
  readonly #dhcpIngress: DhcpIngress;
  readonly #policy: PolicyGuard;
  readonly #configuredGateway: number;
  /** Of the subnet that the network knows; 0 = it does not. */
  readonly #netmask: number;
  readonly #onBinding: ((change: BindingChange) => void) | undefined;
  /** Microseconds; in a typed array, because a number in a field would be boxed anew each time. */
  readonly #clock = new Float64Array(1);
  readonly #fromVm = new FrameView();
  readonly #toVm = new FrameView();

  constructor(options: GuardOptions) {
    this.#mac = required(
      "MAC address",
      options.macAddress,
      parseMac,
      "six hexadecimal bytes such as 7e:1a:00:00:00:01",
    );
    if (this.#mac === 0 || isGroupMac(this.#mac)) {
      throw new UserError(`the MAC address ${options.macAddress} cannot be a network card's: give a unicast one`);
    }
    this.#macHigh = Math.floor(this.#mac / 0x100000000);
    this.#macLow = this.#mac | 0;
    const mtu = options.mtu ?? DEFAULT_MTU;
    if (!Number.isInteger(mtu) || mtu < SMALLEST_MTU || mtu > LARGEST_MTU) {
      throw new UserError(`the MTU ${mtu} is out of range: give ${SMALLEST_MTU} to ${LARGEST_MTU} bytes`);
    }
    this.#longestFrame = mtu + ETHERNET_HEADER;
    const rules = parseRules(options.allow ?? [], options.block ?? []);
    this.#exposed = new ExposedPorts(options.exposedPorts ?? []);
    this.#configuredGateway = optional("gateway", options.gateway, parseHost, A_HOST) ?? 0;
    const gatewayMac = optional("gateway's MAC address", options.gatewayMacAddress, parseCardMac, A_MAC);
    const subnet = optional("subnet", options.subnet, parseCidr, "an IPv4 CIDR such as 192.168.64.0/24");
    this.#netmask = subnet ? netmaskOf(subnet.length) : 0;
    const staticAddress = optional("VM's address", options.address, parseHost, A_HOST) ?? 0;
    this.#onBinding = options.onBinding;
    this.#lease = new Lease(
      staticAddress,
      options.origin ?? "snooped",
      (change) => this.#bindingChanged(change),
      () => this.#formerIsGone(),
    );
    this.#gateway = new GatewayWatch(gatewayMac ?? UNKNOWN_MAC, options.ask ?? false);
    this.#ownRequest = new OwnRequest(this.#mac, options.ask ?? false);
    const dhcp: DhcpState = {
      mac: this.#mac,
      trustedServer: optional("DHCP server", options.dhcpServer, parseHost, A_HOST) ?? 0,
      serverMac:
        optional("DHCP server's MAC address", options.dhcpServerMacAddress, parseCardMac, A_MAC) ?? UNKNOWN_MAC,
      configuredGateway: this.#configuredGateway,
      hostname: optional("VM's host name", options.hostname, parseHostname, "a name such as web1 or web1.example.com"),
      subnet,
      lease: this.#lease,
      pending: this.#pending,
      gateway: this.#gateway,
      transactions: new Transactions(),
      ownRequest: this.#ownRequest,
      heldElsewhere: options.heldElsewhere,
      message: new DhcpMessage(),
    };
    this.#arp = new ArpGuard(dhcp);
    this.#dhcpEgress = new DhcpEgress(dhcp);
    this.#dhcpIngress = new DhcpIngress(dhcp);
    this.#policy = new PolicyGuard({
      rules,
      live: options.live ?? false,
      reject: options.reject ?? false,
      lease: this.#lease,
      mac: this.#mac,
      clock: this.#clock,
    });
    this.#gateway.setAddress(this.#configuredGateway);
    const { restored } = options;
    const taken = restored !== undefined && restore(dhcp, restored);
    this.#updateNetwork();
    if (taken) this.#recall(restored);
  }

  /** The VM's binding now; undefined while it has none. */
  get binding(): Binding | undefined {
    return this.#lease.binding;
  }

  /** The gateway's address, host order; 0 = not known. */
  get gateway(): number {
    return this.#configuredGateway || (this.#lease.binding?.router ?? 0);
  }

  /** The rules in force. */
  get rules(): readonly Rule[] {
    return this.#policy.rules;
  }

  /** Whether the policy judges both directions by flows: as soon as one rule has a direction. */
  get stateful(): boolean {
    return this.#policy.stateful;
  }

  /** How many flows were live when the clock was told last. */
  get flows(): number {
    return this.#policy.flows;
  }

  /**
   * Puts other rules (of `parseRules`) into force, all at once; flows that they no longer allow are cut. Answers how many
   * those were.
   */
  setRules(rules: readonly Rule[]): number {
    return this.#policy.setRules(rules);
  }

  /** What policy makes of a packet that belongs to no flow yet, and why; nothing is sent, counted or noted. */
  explain(question: PolicyQuestion): Explanation {
    return this.#policy.explain(question);
  }

  /**
   * Writes the answer that a dropped frame of the VM's gets (option `reject`) to `out` at `at`, at most 70 bytes, and
   * returns its length; 0 = none. `view` as it was given to `judgeEgress`, `verdict` what that returned.
   */
  answer(view: FrameView, verdict: number, out: Uint8Array, at: number): number {
    return this.#policy.answer(view, verdict, out, at);
  }

  /**
   * Writes the RST for the next TCP flow that `setRules` has cut (option `reject`) to `out` at `at`, 60 bytes, and
   * answers its length; 0 = none waits.
   */
  takeReset(out: Uint8Array, at: number): number {
    return this.#policy.takeReset(out, at);
  }

  /**
   * Writes a question in the VM's name to `out` at `at` and returns its length; 0 = there is nothing to ask now. Either
   * an INIT-REBOOT, at most LONGEST_REQUEST bytes, or an ARP request, who has the gateway's address, 60 bytes. It is for
   * the network, soon after a frame in either direction, and at `deadline` (option `ask`).
   */
  takeQuestion(out: Uint8Array, at: number): number {
    return this.#ownRequest.take(out, at, this.#clock[0]!) || this.#takeArpQuestion(out, at);
  }

  #takeArpQuestion(out: Uint8Array, at: number): number {
    const { address } = this.#lease;
    const asked = address === 0 ? NO_QUESTION : this.#gateway.takeQuestion(this.#clock[0]!);
    if (asked === NO_QUESTION) return 0;
    const known = asked !== UNKNOWN_MAC;
    const packet = emitArp({
      operation: ARP_REQUEST,
      senderHardware: this.#mac,
      senderProtocol: address,
      targetHardware: known ? asked : 0,
      targetProtocol: this.#gateway.address,
    });
    const frame = emitEthernet(known ? asked : BROADCAST_MAC, this.#mac, TYPE_ARP, packet);
    out.set(frame, at);
    return frame.length;
  }

  /** Judges a frame from the VM. `time`: microseconds on any clock that does not go back (earlier counts as the last). */
  egress(frame: Uint8Array, time: number): Verdict {
    this.advance(time);
    this.#fromVm.read(frame, 0, frame.length);
    return verdictObject(this.judgeEgress(this.#fromVm));
  }

  /** Judges a frame to the VM; `time` as in `egress`. */
  ingress(frame: Uint8Array, time: number): Verdict {
    this.advance(time);
    this.#toVm.read(frame, 0, frame.length);
    return verdictObject(this.judgeIngress(this.#toVm));
  }

  /**
   * When `advance` or `takeQuestion` has something to do even if no frame comes: the end of the binding, the next
   * question (of either kind).
   * Microseconds; Infinity = never.
   */
  get deadline(): number {
    return Math.min(this.#lease.expiry, this.#gateway.questionDue, this.#ownRequest.due);
  }

  /** Tells the time, in microseconds, before the frames of a batch are judged; ends a binding whose lease is over. */
  advance(time: number): void {
    // Not Math.max: a NaN must not poison the clock.
    if (time > this.#clock[0]!) this.#clock[0] = time;
    this.#policy.advance();
    if (this.#clock[0]! >= this.#lease.expiry) this.#expire();
  }

  /** As `egress`, after `advance`, for a frame that was read; returns PASS or a drop reason's number. */
  judgeEgress(view: FrameView): number {
    if (view.malformed === SHORT) return FRAME_SHORT;
    if (view.length > this.#longestFrame) return FRAME_LONG;
    if (view.sourceLow !== this.#macLow || view.sourceHigh !== this.#macHigh) return ETHERNET_SOURCE;
    if (view.isToReserved) return ETHERNET_DESTINATION;
    const { type } = view;
    if (type === TYPE_IPV4) return this.#judgeEgressIPv4(view);
    if (type === TYPE_ARP) return this.#arp.egress(view, this.#clock[0]!);
    return type === TYPE_IPV6 ? ETHERNET_IPV6 : ETHERNET_TYPE;
  }

  /** As `ingress`, after `advance`, for a frame that was read; returns PASS or a drop reason's number. */
  judgeIngress(view: FrameView): number {
    if (view.malformed === SHORT) return FRAME_SHORT;
    if (view.length > this.#longestFrame) return FRAME_LONG;
    const { sourceHigh, sourceLow } = view;
    if ((sourceHigh & 0x100) !== 0 || (sourceHigh === 0 && sourceLow === 0)) return ETHERNET_SOURCE;
    if (sourceLow === this.#macLow && sourceHigh === this.#macHigh) return ETHERNET_SOURCE;
    if (view.isToGroup) {
      if (view.isToReserved) return ETHERNET_DESTINATION;
    } else if (view.destinationLow !== this.#macLow || view.destinationHigh !== this.#macHigh) {
      return ETHERNET_DESTINATION;
    }
    const { type } = view;
    if (type === TYPE_IPV4) return this.#judgeIngressIPv4(view);
    if (type === TYPE_ARP) return this.#arp.ingress(view, this.#clock[0]!);
    return type === TYPE_IPV6 ? ETHERNET_IPV6 : ETHERNET_TYPE;
  }

  #judgeEgressIPv4(view: FrameView): number {
    const malformed = judgeIPv4Form(view);
    if (malformed !== PASS) return malformed;
    const { sourcePort: from, destinationPort: to } = view;
    if (view.protocol === PROTOCOL_UDP && (isDhcpPort(from) || isDhcpPort(to))) {
      if (from !== DHCP_CLIENT_PORT || to !== DHCP_SERVER_PORT) return DHCP_PORTS;
      if (view.fragmentBits !== 0) return DHCP_FRAGMENT;
      return this.#dhcpEgress.judge(view, this.#clock[0]!);
    }
    const own = this.#lease.address;
    if (own === 0) return IPV4_UNBOUND;
    if (view.source !== own) return IPV4_SOURCE;
    const { destination, icmpType } = view;
    if (isNever(destination)) return IPV4_LOOPBACK;
    if (view.isToGroup && !this.#policy.isGroup(destination)) return GROUP_FRAME;
    if (isRouterMessage(icmpType)) return ICMP_ROUTER;
    if (isIcmpError(icmpType) && !isAboutPacketTo(own, view)) return ICMP_QUOTE;
    const verdict = this.#policy.egress(view);
    if (verdict !== POLICY_BLOCK && verdict !== FLOW_UNKNOWN) return verdict;
    return this.#exposed.isAnswer(view, this.#gateway.address) ? PASS : verdict;
  }

  #judgeIngressIPv4(view: FrameView): number {
    const malformed = judgeIPv4Form(view);
    if (malformed !== PASS) return malformed;
    if (view.protocol === PROTOCOL_UDP && view.destinationPort === DHCP_CLIENT_PORT) {
      if (view.sourcePort !== DHCP_SERVER_PORT) return DHCP_PORTS;
      if (view.fragmentBits !== 0) return DHCP_FRAGMENT;
      return this.#dhcpIngress.judge(view, this.#clock[0]!);
    }
    const { destination } = view;
    if (destination === this.#lease.formerAddress) return IPV4_UNBOUND;
    if (view.isToGroup && this.#isForOne(destination)) return GROUP_FRAME;
    if (isIcmpError(view.icmpType) && !isAboutPacketOf(this.#lease.address, view)) return ICMP_QUOTE;
    return this.#policy.ingress(view);
  }

  /** Whether a packet to the VM with this destination is for one machine. */
  #isForOne(destination: number): boolean {
    // What is broadcast in a subnet that is not known looks like any other address.
    if (this.#policy.knowsBroadcast) return !this.#policy.isGroup(destination);
    return this.#lease.binding !== undefined && destination === this.#lease.address;
  }

  #expire(): void {
    const binding = this.#lease.binding;
    if (!binding) return;
    // Since the lease ended, not since it was noticed: a capture replayed without our ticks must agree.
    this.#pending.add(binding.address, binding.server, binding.expiry);
    this.#lease.end("expired");
  }

  /** What the ACK behind a restored binding told beside it. */
  #recall({ server, acknowledged }: RestoredBinding): void {
    if (acknowledged === undefined) return;
    const { source, sourceMac, clientIdentifier } = acknowledged;
    this.#dhcpIngress.recall(source);
    this.#dhcpEgress.recall(clientIdentifier ?? new Uint8Array(0));
    const { address } = this.#gateway;
    if (server === address && source === address) this.#gateway.acknowledgedFrom = sourceMac;
  }

  #bindingChanged(change: BindingChange): void {
    this.#updateNetwork();
    if (change.kind === "lost") this.#gateway.dropQuestion();
    else this.#ownRequest.drop();
    if (change.kind === "lost" && change.why !== "expired") this.#gateway.acknowledgedFrom = UNKNOWN_MAC;
    this.#onBinding?.(change);
  }

  #formerIsGone(): void {
    this.#updateNetwork();
    this.#gateway.acknowledgedFrom = UNKNOWN_MAC;
  }

  /** Follows the binding: the gateway that it tells, and the policy that depends on it. */
  #updateNetwork(): void {
    const binding = this.#lease.binding;
    // Guarded also while the VM may ask for its former address, so that nobody becomes its gateway meanwhile.
    const guarded = binding ?? this.#lease.former;
    this.#gateway.setAddress(this.#configuredGateway || (guarded?.router ?? 0));
    this.#policy.updateNetwork({
      gateway: this.gateway,
      address: binding?.address ?? 0,
      netmask: binding?.netmask || this.#netmask,
      dnsServers: binding?.dnsServers ?? [],
    });
  }
}

function isDhcpPort(port: number): boolean {
  return port === DHCP_CLIENT_PORT || port === DHCP_SERVER_PORT;
}

function isRouterMessage(type: number): boolean {
  return type === ICMP_REDIRECT || type === ICMP_ROUTER_ADVERTISEMENT || type === ICMP_ROUTER_SOLICITATION;
}

const A_MAC = "six hexadecimal bytes such as 02:00:00:00:00:01, of one network card";

function parseCardMac(text: string): number | undefined {
  const mac = parseMac(text);
  return mac === undefined || mac === 0 || isGroupMac(mac) ? undefined : mac;
}

const A_HOST = "an IPv4 address such as 192.168.64.1";

function parseHost(text: string): number | undefined {
  const address = parseIPv4(text);
  return address !== undefined && isHostAddress(address) ? address : undefined;
}

function required<T>(what: string, text: string, parse: (text: string) => T | undefined, wanted: string): T {
  const value = parse(text);
  if (value === undefined) throw new UserError(`the ${what} ${JSON.stringify(text)} is not valid: give ${wanted}`);
  return value;
}

function optional<T>(
  what: string,
  text: string | undefined,
  parse: (text: string) => T | undefined,
  wanted: string,
): T | undefined {
  return text === undefined ? undefined : required(what, text, parse, wanted);
}
