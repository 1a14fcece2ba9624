/**
 * IPv4 and what belongs to it: ARP, DHCP with the bound address that it makes, and the checks of packets before policy
 * (docs/guard.md). A frame that comes here has an Ethernet header that may pass, and the type of ARP or IPv4.
 */
import { IN, OUT } from "../../policy/rule-tree.ts";
import { isLoopback } from "../../policy/special-purpose.ts";
import { UNKNOWN_MAC } from "../../wire/address.ts";
import { DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessage } from "../../wire/dhcp.ts";
import { ETHERNET_HEADER, TYPE_ARP } from "../../wire/ethernet.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { ICMP_REDIRECT, ICMP_ROUTER_ADVERTISEMENT, ICMP_ROUTER_SOLICITATION, isIcmpError } from "../../wire/icmp.ts";
import { PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { COMPLETE } from "../../wire/virtio-net.ts";
import { tellBinding } from "../binding-changes.ts";
import type { Diagnostics } from "../diagnostics.ts";
import type { AddressFamily } from "../family.ts";
import type { IPv4Observer } from "../flow-observer.ts";
import { NO_FLOW } from "../flow-table.ts";
import { FragmentGuard } from "../fragment-guard.ts";
import type { GuardSettings } from "../guard-settings.ts";
import { judgeOffload } from "../offload.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { BindingChange, BoundAddress, GuardOptions, RestoredAddress } from "../types.ts";
import { Answers, putReset } from "./answers.ts";
import { ArpGuard } from "./arp-guard.ts";
import { DhcpEgress } from "./dhcp-egress.ts";
import { DhcpIngress } from "./dhcp-ingress.ts";
import type { DhcpState } from "./dhcp-state.ts";
import { GatewayWatch } from "./gateway-watch.ts";
import { isAboutPacketOf, isAboutPacketTo } from "./icmp-quote.ts";
import { judgeIPv4Form } from "./ipv4-form.ts";
import { IPv4Fragments } from "./ipv4-fragments.ts";
import { Lease } from "./lease.ts";
import { OwnRequest } from "./own-request.ts";
import type { PolicyGuard } from "./policy-guard.ts";
import { PendingAddresses } from "./recent.ts";
import { restore } from "./restore.ts";
import { Transactions } from "./transactions.ts";

const OFFLOAD = verdictOf("frame.offload");
const UNBOUND = verdictOf("ipv4.unbound");
const SOURCE = verdictOf("ipv4.source");
const LOOPBACK = verdictOf("ipv4.loopback");
const GROUP_FRAME = verdictOf("ipv4.group-frame");
const ICMP_QUOTE = verdictOf("icmp.quote");
const ICMP_ROUTER = verdictOf("icmp.router");
const POLICY_BLOCK = verdictOf("policy.block");
const FLOW_UNKNOWN = verdictOf("flow.unknown");
const DHCP_PORTS = verdictOf("dhcp.ports");
const DHCP_FRAGMENT = verdictOf("dhcp.fragment");

/** Of the only address, whatever a packet to the VM goes to. */
const PLACE = 0;

/** The callbacks of the guard's user (GuardOptions). */
export type FamilyCallbacks = Pick<GuardOptions, "origin" | "restored" | "heldElsewhere" | "onBinding">;

export class IPv4Family implements AddressFamily {
  readonly #settings: GuardSettings;
  /** Bytes of the longest packet. */
  readonly #mtu: number;
  readonly #policy: PolicyGuard;
  /** The guard's clock in microseconds, in place 0. */
  readonly #clock: Float64Array;
  readonly #onBinding: ((change: BindingChange) => void) | undefined;
  readonly #diagnostics: Diagnostics;
  readonly #observer: IPv4Observer | undefined;
  readonly #lease: Lease;
  readonly #gateway: GatewayWatch;
  readonly #ownRequest: OwnRequest;
  readonly #pending = new PendingAddresses();
  readonly #arp: ArpGuard;
  readonly #dhcpEgress: DhcpEgress;
  readonly #dhcpIngress: DhcpIngress;
  readonly #fragments: FragmentGuard;
  readonly #answers = new Answers();
  /** The bound address as a signed number, as views have them; 0 = none. */
  #own = 0;

  constructor(
    settings: GuardSettings,
    callbacks: FamilyCallbacks,
    policy: PolicyGuard,
    clock: Float64Array,
    diagnostics: Diagnostics,
    observer?: IPv4Observer,
  ) {
    const { mac, ask, gateway, subnet, hostname } = settings;
    const { origin, restored, heldElsewhere, onBinding } = callbacks;
    this.#settings = settings;
    this.#mtu = settings.longestFrame - ETHERNET_HEADER;
    this.#policy = policy;
    this.#clock = clock;
    this.#onBinding = onBinding;
    this.#diagnostics = diagnostics;
    this.#observer = observer;
    this.#lease = new Lease(
      settings.address,
      origin ?? "snooped",
      (change) => this.#bindingChanged(change),
      () => this.#formerIsGone(),
    );
    this.#gateway = new GatewayWatch(settings.gatewayMac, ask);
    this.#ownRequest = new OwnRequest(mac, ask);
    const dhcp: DhcpState = {
      mac,
      trustedServer: settings.dhcpServer,
      serverMac: settings.dhcpServerMac,
      configuredGateway: gateway,
      hostname,
      subnet,
      lease: this.#lease,
      pending: this.#pending,
      gateway: this.#gateway,
      transactions: new Transactions(),
      ownRequest: this.#ownRequest,
      heldElsewhere,
      message: new DhcpMessage(),
    };
    this.#arp = new ArpGuard(dhcp);
    this.#dhcpEgress = new DhcpEgress(dhcp);
    this.#dhcpIngress = new DhcpIngress(dhcp);
    this.#fragments = new FragmentGuard(new IPv4Fragments(policy));
    this.#gateway.setAddress(gateway);
    const kept = restored?.addresses.find((address) => address.family === "ipv4");
    const taken = kept !== undefined && restore(dhcp, kept);
    this.#updateNetwork();
    if (taken) this.#restoreAcknowledged(kept);
  }

  get addresses(): readonly BoundAddress[] {
    const { bound } = this.#lease;
    return bound === undefined ? [] : [bound];
  }

  /** The gateway's address, host order; 0 = not known. */
  get gateway(): number {
    return this.#settings.gateway || (this.#lease.bound?.router ?? 0);
  }

  /** The gateway's MAC, UNKNOWN_MAC while it is not known. */
  get gatewayMac(): number {
    return this.#gateway.mac;
  }

  get deadline(): number {
    return Math.min(this.#lease.expiry, this.#gateway.questionDue, this.#ownRequest.due);
  }

  advance(): void {
    if (this.#clock[0]! >= this.#lease.expiry) this.#expire();
  }

  judgeEgress(view: FrameView): number {
    if (view.type === TYPE_ARP) return view.offload === COMPLETE ? this.#arp.egress(view, this.#clock[0]!) : OFFLOAD;
    const malformed = judgeIPv4Form(view);
    if (malformed !== PASS) return malformed;
    if (view.offload !== COMPLETE) {
      const unborne = judgeOffload(view, this.#mtu);
      if (unborne !== PASS) return unborne;
    }
    const { sourcePort: from, destinationPort: to } = view;
    if (view.protocol === PROTOCOL_UDP && (isDhcpPort(from) || isDhcpPort(to))) {
      if (from !== DHCP_CLIENT_PORT || to !== DHCP_SERVER_PORT) return DHCP_PORTS;
      if (view.fragmentBits !== 0) return DHCP_FRAGMENT;
      return this.#dhcpEgress.judge(view, this.#clock[0]!);
    }
    if (this.#own === 0) return UNBOUND;
    if (view.sourceWord !== this.#own) return SOURCE;
    if (isLoopback(view.destinationWord)) return LOOPBACK;
    if (view.isToGroup && !this.#policy.isGroup(view.destination)) return GROUP_FRAME;
    if (isRouterMessage(view.icmpType)) return ICMP_ROUTER;
    if (isIcmpError(view.icmpType) && !isAboutPacketTo(view.source, view)) return ICMP_QUOTE;
    const whole = view.fragmentBits === 0;
    const verdict = whole ? this.#policy.egress(view) : this.#fragments.judge(OUT, view, PLACE, this.#clock[0]!);
    if (verdict !== POLICY_BLOCK && verdict !== FLOW_UNKNOWN) return verdict;
    return this.#settings.exposed.isAnswer(view, this.#gateway.address) ? PASS : verdict;
  }

  judgeIngress(view: FrameView): number {
    if (view.type === TYPE_ARP) return view.offload === COMPLETE ? this.#arp.ingress(view, this.#clock[0]!) : OFFLOAD;
    const malformed = judgeIPv4Form(view);
    if (malformed !== PASS) return malformed;
    if (view.offload !== COMPLETE) {
      const unborne = judgeOffload(view, this.#mtu);
      if (unborne !== PASS) return unborne;
    }
    if (view.protocol === PROTOCOL_UDP && view.destinationPort === DHCP_CLIENT_PORT) {
      if (view.sourcePort !== DHCP_SERVER_PORT) return DHCP_PORTS;
      if (view.fragmentBits !== 0) return DHCP_FRAGMENT;
      return this.#dhcpIngress.judge(view, this.#clock[0]!);
    }
    if (view.destination === this.#lease.formerAddress) return UNBOUND;
    if (view.isToGroup && this.#isForOne(view)) return GROUP_FRAME;
    if (isIcmpError(view.icmpType) && !isAboutPacketOf(this.#lease.address, view)) return ICMP_QUOTE;
    if (view.fragmentBits === 0) return this.#policy.ingress(view);
    return this.#fragments.judge(IN, view, PLACE, this.#clock[0]!);
  }

  /** Whether a packet to the VM is for one machine. */
  #isForOne(view: FrameView): boolean {
    // What is broadcast in a subnet that is not known looks like any other address.
    if (this.#policy.knowsBroadcast) return !this.#policy.isGroup(view.destination);
    return this.#own !== 0 && view.destinationWord === this.#own;
  }

  rulesChanged(): void {
    this.#fragments.clear();
  }

  answer(view: FrameView, verdict: number, out: Uint8Array, at: number): number {
    // RFC 1122 3.2.2: nothing that went to many is answered.
    if (this.#policy.isGroup(view.destination)) return 0;
    const own = this.#policy.names?.answer(view, verdict, out, at) ?? 0;
    if (own > 0 || !this.#policy.answersDenied) return own;
    const lost = verdict === FLOW_UNKNOWN || this.#policy.isOfCutFlow(view);
    return this.#answers.write(view, verdict, lost, this.#clock[0]!, this.gateway, out, at);
  }

  takeReset(out: Uint8Array, at: number): number {
    const { flows } = this.#policy;
    const flow = this.#policy.nextReset();
    // The address that the flows were made with: the lease may have ended meanwhile.
    return flow === NO_FLOW ? 0 : putReset(flows!, flow, this.#settings.mac, this.#policy.flowsOf, out, at);
  }

  takeQuestion(out: Uint8Array, at: number): number {
    const now = this.#clock[0]!;
    const reset = this.#policy.names?.takeReset(out, at) ?? 0;
    return reset || this.#ownRequest.take(out, at, now) || this.#arp.takeQuestion(out, at, now);
  }

  /** Nothing: an IPv4 address ends with its lease, used or not. */
  takeProbe(): number {
    return 0;
  }

  #expire(): void {
    const { bound } = this.#lease;
    if (!bound) return;
    // Since the lease ended, not since it was noticed: a capture replayed without our ticks must agree.
    this.#pending.add(bound.address, bound.server, bound.expiry);
    this.#lease.end("expired");
  }

  /** Restores what the ACK of a restored address said besides it. */
  #restoreAcknowledged({ server, acknowledged }: RestoredAddress): void {
    if (acknowledged === undefined) return;
    const { source, sourceMac, clientIdentifier } = acknowledged;
    this.#dhcpIngress.restore(source);
    this.#dhcpEgress.restore(clientIdentifier ?? new Uint8Array(0));
    const { address } = this.#gateway;
    if (server === address && source === address) this.#gateway.acknowledgedFrom = sourceMac;
  }

  #bindingChanged(change: BindingChange): void {
    this.#updateNetwork();
    if (change.kind === "lost") this.#gateway.dropQuestion();
    else this.#ownRequest.drop();
    if (change.kind === "lost" && change.why !== "expired") this.#gateway.acknowledgedFrom = UNKNOWN_MAC;
    tellBinding(change, this.#onBinding, this.#diagnostics);
  }

  #formerIsGone(): void {
    this.#updateNetwork();
    this.#gateway.acknowledgedFrom = UNKNOWN_MAC;
  }

  /** Follows the lease: the gateway that it names, and the policy that depends on it. */
  #updateNetwork(): void {
    const { bound, former } = this.#lease;
    this.#own = this.#lease.address | 0;
    // Guarded also while the VM may ask for its former address, so that no machine becomes its gateway meanwhile.
    const guarded = bound ?? former;
    this.#gateway.setAddress(this.#settings.gateway || (guarded?.router ?? 0));
    this.#policy.updateNetwork({
      gateway: this.gateway,
      address: bound?.address ?? 0,
      netmask: bound?.netmask || this.#settings.netmask,
      dnsServers: bound?.dnsServers ?? [],
    });
    this.#observer?.bind(this.#lease.address, this.#lease.expiry);
  }
}

function isDhcpPort(port: number): boolean {
  return port === DHCP_CLIENT_PORT || port === DHCP_SERVER_PORT;
}

function isRouterMessage(type: number): boolean {
  return type === ICMP_REDIRECT || type === ICMP_ROUTER_ADVERTISEMENT || type === ICMP_ROUTER_SOLICITATION;
}
