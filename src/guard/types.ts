/** A guard's options and results. What they mean is specified in docs/guard.md. */

import type { Rule } from "../policy/rule.ts";
import type { DefaultLine } from "./default-policy.ts";

/** What a guard needs to know about its VM and about the network in front of it. */
export interface GuardOptions {
  /** The VM's MAC address, `7e:1a:00:00:00:01`. */
  readonly macAddress: string;
  /** Rules that let pass, `[in |out ]TARGET[:PORT|:FIRST-LAST]`: docs/guard.md, Policy. */
  readonly allow?: readonly string[];
  /** Rules that do not, in the same form. */
  readonly block?: readonly string[];
  /** Rules that let pass, while everything else that the VM sends is closed (docs/policy.md, Only). Not empty. */
  readonly only?: readonly string[];
  /** Rules of `parseRules`, in force beside those: what is parsed once may be given to many guards. */
  readonly rules?: readonly Rule[];
  /** The policy may change (`setRules`): flows are noted also while no rule has a direction. */
  readonly live?: boolean;
  /** Makes answers to what is denied (`answer`, `takeReset`). */
  readonly reject?: boolean;
  /** Asks the network itself who has the gateway's address, and whether an unknown one is the VM's (`takeQuestion`). */
  readonly ask?: boolean;
  /** TCP ports of the VM's that the network exposes: their answers to the gateway pass though a rule blocks it. */
  readonly exposedPorts?: readonly number[];
  /** A static binding: the only IPv4 address of the VM; DHCP can teach no other. */
  readonly address?: string;
  /** The gateway's IPv4 address, where it is known: then DHCP may name no other router. Else it comes with DHCP. */
  readonly gateway?: string;
  /** The gateway's MAC address, where the network knows it; else learned from the answer to the VM's own ARP request. */
  readonly gatewayMacAddress?: string;
  /** The only DHCP server to be trusted, where it is known. */
  readonly dhcpServer?: string;
  /** The only MAC address that the DHCP server's messages may come from (the relay's, where there is one). */
  readonly dhcpServerMacAddress?: string;
  /** The only name that the VM may give itself in DHCP (options 12 and 81); with a domain behind it where it has none. */
  readonly hostname?: string;
  /** How an address that an ACK assigns is said to have come: "served" where the network's server is our own. */
  readonly origin?: "snooped" | "served";
  /** The VM's subnet as a CIDR, where the network knows it: no address outside it is ever bound. */
  readonly subnet?: string;
  /** Largest IPv4 packet in bytes, 68 … 65,521; default 1,500. Frames may be 14 bytes longer. */
  readonly mtu?: number;
  /** A binding of this VM's from before, to go on with; an address that an ACK could not have made is not taken. */
  readonly restored?: RestoredBinding;
  /**
   * Whether another VM of this host holds the address on the same network: then it is not learned. Called for an ACK that
   * would make a binding or move it, as the last check; may do I/O. What it throws counts as held.
   */
  readonly heldElsewhere?: (address: number) => boolean;
  /** IPv6 is on: docs/guard-ipv6.md. */
  readonly ipv6?: boolean;
  /** The link-local address of the only IPv6 router to be trusted. */
  readonly router6?: string;
  /** The only MAC address of that router, where the network knows it. */
  readonly router6MacAddress?: string;
  /** A /64 as a CIDR that the network gave to this VM alone. */
  readonly prefix6?: string;
  /** Further addresses of the IPv6 router, where the network knows them. */
  readonly hostAddresses6?: readonly string[];
  /** A static IPv6 address: the only one of the VM beside link-local ones. */
  readonly address6?: string;
  /** As `heldElsewhere`, for an IPv6 address that is about to become the VM's. */
  readonly heldElsewhere6?: (address: bigint) => boolean;
  /** Learns names and tells of opened flows also while no rule has a name. */
  readonly learn?: boolean;
  /**
   * Names' addresses from before, in the order of `namePairs`. Whoever gives them has checked that no end is later than
   * MOST_PAIR_SECONDS after now; what no answer can have taught is left out.
   */
  readonly restoredNames?: readonly NamePair[];
  /** Called inline for what is asked and said by name; as `onBinding` in what it may throw. */
  readonly onName?: (event: NameEvent) => void;
  /**
   * Called inline when one of the binding's addresses changes. What it throws does not reach the caller of the guard: it is
   * thrown again once the running code has ended, as an uncaught exception.
   */
  readonly onBinding?: (change: BindingChange) => void;
}

/** What a VM asked and got by name (docs/guard-names.md). `decision`: "passed", or a drop reason's name. */
export type NameEvent =
  | { readonly kind: "question"; readonly name: string; readonly type: number; readonly decision: string }
  | { readonly kind: "learned"; readonly name: string; readonly addresses: number }
  | {
      readonly kind: "connection";
      /** Absent: its first bytes name nobody. */
      readonly name?: string;
      /** Of IPv4 a number in host order, of IPv6 128 bits. */
      readonly remote: number | bigint;
      readonly port: number;
      readonly decision: string;
    }
  | {
      /** With the option `learn`: the VM has opened a flow. */
      readonly kind: "opened";
      readonly remote: number | bigint;
      /** IPv4's protocol number, or IPv6's. */
      readonly protocol: number;
      /** 0 for what has none. */
      readonly port: number;
      /** Names that were resolved to this address. */
      readonly names: readonly string[];
    };

/** What was counted of one name. */
export interface NameCount {
  /** "*": of all names that have lost their places to others. */
  readonly name: string;
  /** How many questions asked for it. */
  readonly asked: number;
  /** How many of these were denied. A question that gets an empty answer because of its type is not denied. */
  readonly denied: number;
  /** Addresses in answers. */
  readonly addresses: number;
  /** How many connections whose first bytes said it passed. */
  readonly passed: number;
  /** How many such connections were refused. */
  readonly refused: number;
}

/** An address that a name had, as it is kept across a restart; times are microseconds on the guard's clock. */
export interface NamePair {
  readonly name: string;
  readonly address: number | bigint;
  readonly verifiedEnd: number;
  readonly otherEnd: number;
}

/** How the VM came to its address: snooped from the network's DHCP server, served by our own, or given by the user. */
export type BindingOrigin = "snooped" | "served" | "static";

/**
 * The addresses a VM may use (RFC 7039). Each has its own origin, server and expiry, and begins and ends by itself. Empty
 * while the VM has none.
 */
export interface Binding {
  /** Of every family; at most one IPv4 address. */
  readonly addresses: readonly BoundAddress[];
  /** The IPv4 address of them; undefined while there is none. */
  readonly ipv4: BoundIPv4Address | undefined;
  /** The IPv6 addresses of them that are valid. */
  readonly ipv6: readonly BoundIPv6Address[];
}

/** An address of a binding; `family` says which kind. */
export type BoundAddress = BoundIPv4Address | BoundIPv6Address;

/** An IPv4 address of a binding, with what came along with it. Addresses are numbers in host order. */
export interface BoundIPv4Address {
  readonly family: "ipv4";
  readonly address: number;
  readonly origin: BindingOrigin;
  /** Option 54 of the ACK; 0 for a static address that no server confirmed. */
  readonly server: number;
  /** Microseconds on the guard's clock; Infinity = never. */
  readonly expiry: number;
  /** Option 1 of the ACK; 0 when it was not there. */
  readonly netmask: number;
  /** First router of option 3; 0 when none. */
  readonly router: number;
  /** Option 6, at most 8. */
  readonly dnsServers: readonly number[];
  /** Of the ACK that made or last renewed it; absent for a static address that no server confirmed. */
  readonly acknowledged?: Acknowledged;
}

/** An IPv6 address of a binding (docs/guard-ipv6.md, Addresses). */
export interface BoundIPv6Address {
  readonly family: "ipv6";
  /** 128 bits, as wire/ipv6-address.ts has them. */
  readonly address: bigint;
  readonly origin: "slaac" | "dhcpv6" | "static";
  /** Microseconds on the guard's clock; Infinity = it ends otherwise than by its time, or never. */
  readonly expiry: number;
  /** Of the REPLY that gave it; absent unless the origin is `dhcpv6`. */
  readonly lease?: IPv6Lease;
}

/** What a DHCPv6 lease is known by (RFC 8415 4.2). */
export interface IPv6Lease {
  /** DUIDs, 1 … 130 bytes. */
  readonly server: Uint8Array;
  readonly client: Uint8Array;
  /** Unsigned, 32 bits. */
  readonly iaid: number;
  /** The association is an IA_TA, whose IAIDs are others than those of IA_NAs (RFC 8415 4.2, 21.5). */
  readonly temporary?: true;
}

/** Where an ACK came from and what it answered: what is needed to give the address back in the VM's name. */
export interface Acknowledged {
  /** Its IPv4 source, host order. */
  readonly source: number;
  /** Its Ethernet source, 48 bits. */
  readonly sourceMac: number;
  /** Option 61 of the VM's message that it answered, 1 … 255 bytes; absent where that had none. */
  readonly clientIdentifier?: Uint8Array;
}

/** A binding as it was kept (`Guard.binding`); of IPv4 only the first address is looked at. */
export interface RestoredBinding {
  readonly addresses: readonly (RestoredAddress | BoundIPv6Address)[];
  /** When that is, in microseconds on the guard's clock: IPv6 addresses count as used last then; 0 where it is missing. */
  readonly time?: number;
}

/** A bound IPv4 address as it was kept; how it is said to have come is the network's matter. */
export type RestoredAddress = Omit<BoundIPv4Address, "origin">;

export type BindingEnd = "expired" | "released" | "declined" | "refused" | "replaced";

/** What happened to one address of the binding; the others stay as they are. */
export type BindingChange =
  | { readonly kind: "learned" | "renewed"; readonly bound: BoundAddress }
  | {
      readonly kind: "lost";
      /** As it was before its end. */
      readonly bound: BoundAddress;
      readonly why: BindingEnd;
      /** Present where it ended with a DECLINE of another address: its server still keeps it for the VM. */
      readonly declined?: number;
    };

/** What a guard says about one frame; these objects are frozen and shared. */
export interface Verdict {
  readonly verdict: "pass" | "drop";
  /** The drop reason's name (docs/drop-reasons.md); absent when the frame passes. */
  readonly reason?: string;
}

/** What `Guard.explain` is asked: a packet that belongs to no flow yet. */
export interface PolicyQuestion {
  /** To the VM, or from it. */
  readonly direction: "in" | "out";
  /** IPv4's protocol number, or one of the usual ones by name; "icmp" is ICMPv6 where the address is IPv6's. */
  readonly protocol: "tcp" | "udp" | "icmp" | number;
  /** The other side's address: of IPv4 a number in host order, of IPv6 128 bits. */
  readonly remote: number | bigint;
  /** The destination port of TCP and UDP; without it no rule with a port counts. */
  readonly port?: number | undefined;
}

/** What decides about a packet. */
export interface Decision {
  readonly verdict: "pass" | "drop";
  /** The drop reason's name; absent when it passes. */
  readonly reason?: string;
  /** The rule that decides, in normal form; absent where the default policy does. */
  readonly rule?: {
    readonly action: "allow" | "block";
    readonly text: string;
    /** Of a rule that nobody wrote: the one of the other address family that it follows from. */
    readonly impliedBy?: string;
  };
  /** Block rules without a port before which the rule comes because it has one, though it covers more than they do. */
  readonly outranks?: readonly string[];
  /** The line of the default policy that decides; absent where a rule does. */
  readonly default?: DefaultLine;
  /** The name by which it passes, though the rules about its address drop it: the VM looked it up and got this address. */
  readonly byName?: string;
}

/** What `Guard.explainName` is asked: a connection of the VM's to a name. */
export interface NameQuestion {
  readonly name: string;
  readonly protocol: "tcp" | "udp";
  readonly port: number;
}

/** What policy makes of a connection to a name. */
export interface NameExplanation {
  /** In normal form. */
  readonly name: string;
  readonly verdict: "pass" | "drop";
  readonly reason?: string;
  /** Whether a lookup of the name passes. */
  readonly lookup: "pass" | "drop";
  /** The rule with a name that decides. */
  readonly rule?: { readonly action: "allow" | "block"; readonly text: string };
  /** Where no rule with a name decides. */
  readonly why?: string;
  /** What such a connection needs. */
  readonly needs?: string;
  /** To which the name opens now. */
  readonly addresses?: readonly string[];
}

/** What policy makes of a packet, and why. */
export interface Explanation extends Decision {
  /** Where a remote IPv6 address embeds an IPv4 one: what IPv4's policy says about that, which must let it pass, too. */
  readonly embedded?: Decision & {
    /** As text. */
    readonly address: string;
    /** IPv6's rules let it pass and IPv4's do not: so verdict and reason are IPv4's. */
    readonly decides: boolean;
  };
}
