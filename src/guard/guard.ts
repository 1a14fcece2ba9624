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
import {
  ETHERNET_HEADER,
  emitEthernet,
  etherType,
  isReservedDestination,
  sourceMac,
  TYPE_ARP,
  TYPE_IPV4,
  TYPE_IPV6,
} from "../wire/ethernet.ts";
import {
  ICMP_REDIRECT,
  ICMP_ROUTER_ADVERTISEMENT,
  ICMP_ROUTER_SOLICITATION,
  icmpType,
  isIcmpError,
} from "../wire/icmp.ts";
import {
  destinationAddress,
  fragmentBits,
  fragmentOffset,
  IPV4_HEADER,
  ipProtocol,
  PROTOCOL_ICMP,
  PROTOCOL_UDP,
  sourceAddress,
} from "../wire/ipv4.ts";
import { udpDestinationPort, udpSourcePort } from "../wire/udp.ts";
import { COMPLETE, segmentSizeOf } from "../wire/virtio-net.ts";
import { ArpGuard } from "./arp-guard.ts";
import { DhcpEgress } from "./dhcp-egress.ts";
import { DhcpIngress } from "./dhcp-ingress.ts";
import type { DhcpState } from "./dhcp-state.ts";
import { ExposedPorts } from "./exposed-ports.ts";
import { GatewayWatch, NO_QUESTION, UNKNOWN_MAC } from "./gateway-watch.ts";
import { isAboutPacketOf, isAboutPacketTo } from "./icmp-quote.ts";
import { judgeIPv4Form } from "./ipv4-form.ts";
import { Lease, NO_ADDRESS } from "./lease.ts";
import { judgeOffload } from "./offload.ts";
import { OwnRequest } from "./own-request.ts";
import { PolicyGuard } from "./policy-guard.ts";
import { DROP_REASONS, PASS, verdictOf } from "./reasons.ts";
import { PendingAddresses } from "./recent.ts";
import { restore } from "./restore.ts";
import { Transactions } from "./transactions.ts";
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
const FRAME_OFFLOAD = verdictOf("frame.offload");
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
    this.#macLow = this.#mac >>> 0;
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
   * answers its length; 0 = none. `bytes`, `frame` and `length` as they were given to `judgeEgress`, `verdict` what it said.
   */
  answer(bytes: Uint8Array, frame: number, length: number, verdict: number, out: Uint8Array, at: number): number {
    return length < ETHERNET_HEADER ? 0 : this.#policy.answer(bytes, frame, verdict, out, at);
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
    return verdictObject(this.judgeEgress(frame, 0, frame.length));
  }

  /** Judges a frame to the VM; `time` as in `egress`. */
  ingress(frame: Uint8Array, time: number): Verdict {
    this.advance(time);
    return verdictObject(this.judgeIngress(frame, 0, frame.length));
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

  /**
   * As `egress` for `length` bytes at `frame`, after `advance`; answers PASS or a drop reason's number. `offload`: what its
   * sender left to do (wire/virtio-net.ts), DHCP's checksums being complete already (`completeDhcp`).
   */
  judgeEgress(bytes: Uint8Array, frame: number, length: number, offload = COMPLETE): number {
    if (length < ETHERNET_HEADER) return FRAME_SHORT;
    if (length > this.#longestFrame && segmentSizeOf(offload) === 0) return FRAME_LONG;
    if (!this.#isVm(bytes, frame + 6)) return ETHERNET_SOURCE;
    if (isReservedDestination(bytes, frame)) return ETHERNET_DESTINATION;
    const type = etherType(bytes, frame);
    if (type === TYPE_IPV4) return this.#judgeEgressIPv4(bytes, frame, length, offload);
    if (type !== TYPE_ARP) return type === TYPE_IPV6 ? ETHERNET_IPV6 : ETHERNET_TYPE;
    if (offload !== COMPLETE) return FRAME_OFFLOAD;
    return this.#arp.egress(bytes, frame, length, this.#clock[0]!);
  }

  /** As `ingress` for `length` bytes at `frame`, after `advance`; `offload` and what it answers as of `judgeEgress`. */
  judgeIngress(bytes: Uint8Array, frame: number, length: number, offload = COMPLETE): number {
    if (length < ETHERNET_HEADER) return FRAME_SHORT;
    if (length > this.#longestFrame && segmentSizeOf(offload) === 0) return FRAME_LONG;
    if ((bytes[frame + 6]! & 1) !== 0 || this.#isVm(bytes, frame + 6)) return ETHERNET_SOURCE;
    if (sourceMac(bytes, frame) === 0) return ETHERNET_SOURCE;
    const group = isGroupFrame(bytes, frame);
    if (group ? isReservedDestination(bytes, frame) : !this.#isVm(bytes, frame)) return ETHERNET_DESTINATION;
    const type = etherType(bytes, frame);
    if (type === TYPE_IPV4) return this.#judgeIngressIPv4(bytes, frame, length, offload);
    if (type !== TYPE_ARP) return type === TYPE_IPV6 ? ETHERNET_IPV6 : ETHERNET_TYPE;
    if (offload !== COMPLETE) return FRAME_OFFLOAD;
    return this.#arp.ingress(bytes, frame, length, this.#clock[0]!);
  }

  /** Whether the 6 bytes at `at` are the VM's MAC: two whole numbers, no 48-bit arithmetic. */
  #isVm(bytes: Uint8Array, at: number): boolean {
    const high = (bytes[at]! << 8) | bytes[at + 1]!;
    const low = (bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
    return high === this.#macHigh && low >>> 0 === this.#macLow;
  }

  /** An IPv4 packet of `length` bytes, before its addresses are asked. */
  #judgeForm(bytes: Uint8Array, packet: number, length: number, offload: number): number {
    const malformed = judgeIPv4Form(bytes, packet, length);
    if (malformed !== PASS || offload === COMPLETE) return malformed;
    return judgeOffload(bytes, packet, length, offload, this.#longestFrame - ETHERNET_HEADER);
  }

  #judgeEgressIPv4(bytes: Uint8Array, frame: number, length: number, offload: number): number {
    const packet = frame + ETHERNET_HEADER;
    const malformed = this.#judgeForm(bytes, packet, length - ETHERNET_HEADER, offload);
    if (malformed !== PASS) return malformed;
    const payload = packet + IPV4_HEADER;
    const protocol = ipProtocol(bytes, packet);
    const headerAtHand = fragmentOffset(bytes, packet) === 0;
    if (protocol === PROTOCOL_UDP && headerAtHand) {
      const from = udpSourcePort(bytes, payload);
      const to = udpDestinationPort(bytes, payload);
      if (isDhcpPort(from) || isDhcpPort(to)) {
        if (from !== DHCP_CLIENT_PORT || to !== DHCP_SERVER_PORT) return DHCP_PORTS;
        if (fragmentBits(bytes, packet) !== 0) return DHCP_FRAGMENT;
        return this.#dhcpEgress.judge(bytes, frame, this.#clock[0]!);
      }
    }
    const own = this.#lease.address;
    if (own === 0) return IPV4_UNBOUND;
    if (sourceAddress(bytes, packet) !== own) return IPV4_SOURCE;
    const destination = destinationAddress(bytes, packet);
    if (isNever(destination)) return IPV4_LOOPBACK;
    if (isGroupFrame(bytes, frame) && !this.#policy.isGroup(destination)) return GROUP_FRAME;
    if (protocol === PROTOCOL_ICMP && headerAtHand) {
      const type = icmpType(bytes, payload);
      if (isRouterMessage(type)) return ICMP_ROUTER;
      if (isIcmpError(type) && !isAboutPacketTo(own, bytes, packet)) return ICMP_QUOTE;
    }
    const verdict = this.#policy.egress(bytes, packet, protocol, destination);
    if (verdict !== POLICY_BLOCK && verdict !== FLOW_UNKNOWN) return verdict;
    return this.#exposed.isAnswer(bytes, packet, this.#gateway.address) ? PASS : verdict;
  }

  #judgeIngressIPv4(bytes: Uint8Array, frame: number, length: number, offload: number): number {
    const packet = frame + ETHERNET_HEADER;
    const malformed = this.#judgeForm(bytes, packet, length - ETHERNET_HEADER, offload);
    if (malformed !== PASS) return malformed;
    const protocol = ipProtocol(bytes, packet);
    const payload = packet + IPV4_HEADER;
    const toClient =
      protocol === PROTOCOL_UDP &&
      fragmentOffset(bytes, packet) === 0 &&
      udpDestinationPort(bytes, payload) === DHCP_CLIENT_PORT;
    if (!toClient) {
      const former = this.#lease.formerAddress;
      if (former !== NO_ADDRESS && destinationAddress(bytes, packet) === former) return IPV4_UNBOUND;
      if (isGroupFrame(bytes, frame) && this.#isForOne(destinationAddress(bytes, packet))) return GROUP_FRAME;
      const headerAtHand = fragmentOffset(bytes, packet) === 0;
      if (protocol === PROTOCOL_ICMP && headerAtHand && isIcmpError(icmpType(bytes, payload))) {
        if (!isAboutPacketOf(this.#lease.address, bytes, packet)) return ICMP_QUOTE;
      }
      return this.#policy.ingress(bytes, packet, protocol);
    }
    if (udpSourcePort(bytes, payload) !== DHCP_SERVER_PORT) return DHCP_PORTS;
    if (fragmentBits(bytes, packet) !== 0) return DHCP_FRAGMENT;
    return this.#dhcpIngress.judge(bytes, frame, this.#clock[0]!);
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

/** Whether a frame goes to all machines of the segment, or to many. */
function isGroupFrame(bytes: Uint8Array, frame: number): boolean {
  return (bytes[frame]! & 1) !== 0;
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
