/**
 * An ICMPv6 message in a few words: neighbour discovery with target and link-layer address, router advertisements with what
 * they announce, MLD with its group. What an error quotes is described with packets (describe-ipv6.ts).
 */
import { formatMac } from "./address.ts";
import { get16 } from "./bytes.ts";
import {
  ICMPV6,
  ICMPV6_HEADER,
  ICMPV6_TOO_BIG,
  icmpv6Mtu,
  isIcmpv6Error,
  isMld,
  isNeighborDiscovery,
  MLD2_REPORT,
  ND_NEIGHBOR_ADVERTISEMENT,
  ND_NEIGHBOR_SOLICITATION,
  ND_REDIRECT,
  ND_ROUTER_ADVERTISEMENT,
} from "./icmpv6.ts";
import { destinationAt6, sourceAt6 } from "./ipv6.ts";
import { formatIPv6, getIPv6 } from "./ipv6-address.ts";
import { NdMessage, NO_LINK } from "./neighbor-discovery.ts";
import {
  OPTION_DNS_SERVERS,
  OPTION_PREF64,
  OPTION_PREFIX,
  readDnsServers,
  readNat64Prefix,
  readPrefix,
} from "./router-options.ts";

/** Type and code. */
const LEAST = 2;
const ROUTER_LIFETIME = 6;
const TARGET = 8;
const REDIRECTED = 24;
/** Of MLD's messages of version 1 (RFC 2710 3), and a query of version 2. */
const GROUP = 8;
const MLD_LENGTH = 24;
/** Where a report of version 2 counts its records. */
const RECORDS = 6;

/** By a view's type: RFC 4443, RFC 4861, RFC 2710, RFC 3810. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [ICMPV6 + 1, "ICMPv6 unreachable"],
  [ICMPV6 + 2, "ICMPv6 too big"],
  [ICMPV6 + 3, "ICMPv6 time exceeded"],
  [ICMPV6 + 4, "ICMPv6 parameter problem"],
  [ICMPV6 + 128, "ICMPv6 echo request"],
  [ICMPV6 + 129, "ICMPv6 echo reply"],
  [ICMPV6 + 130, "MLD query"],
  [ICMPV6 + 131, "MLD report"],
  [ICMPV6 + 132, "MLD done"],
  [ICMPV6 + 133, "ND router solicitation"],
  [ICMPV6 + 134, "ND router advertisement"],
  [ICMPV6 + 135, "ND solicitation"],
  [ICMPV6 + 136, "ND advertisement"],
  [ICMPV6 + 137, "ND redirect"],
  [ICMPV6 + 143, "MLDv2 report"],
]);

/** Name or number of the message at `at`; undefined where it has no type and code. */
export function icmpv6Name(bytes: Uint8Array, at: number, size: number): string | undefined {
  if (size < LEAST) return undefined;
  return NAMES.get(ICMPV6 + bytes[at]!) ?? `ICMPv6 type ${bytes[at]} code ${bytes[at + 1]}`;
}

/** Of the message at `at` with `size` bytes, in the packet at `packet`; undefined where it has no type and code. */
export function describeIcmpv6(bytes: Uint8Array, packet: number, at: number, size: number): string | undefined {
  const name = icmpv6Name(bytes, at, size);
  if (name === undefined) return undefined;
  const type = ICMPV6 + bytes[at]!;
  const source = addressAt(bytes, sourceAt6(packet));
  const hosts = `${source} > ${addressAt(bytes, destinationAt6(packet))}`;
  if (isIcmpv6Error(type)) {
    const hasMtu = type === ICMPV6_TOO_BIG && size >= ICMPV6_HEADER;
    return `${name} ${hasMtu ? `MTU ${icmpv6Mtu(bytes, at)}` : `code ${bytes[at + 1]}`} ${hosts}`;
  }
  if (isMld(type)) {
    if (size < (type === MLD2_REPORT ? ICMPV6_HEADER : MLD_LENGTH)) return `${name} cut short ${hosts}`;
    const about =
      type === MLD2_REPORT ? `groups ${get16(bytes, at + RECORDS)}` : `group ${addressAt(bytes, at + GROUP)}`;
    return `${name} from ${source} ${about}`;
  }
  if (!isNeighborDiscovery(type)) return `${name} ${hosts}`;
  const message = new NdMessage();
  return message.read(bytes, at, size, type)
    ? describeNd(bytes, at, type, name, source, message)
    : `${name} malformed ${hosts}`;
}

function describeNd(
  bytes: Uint8Array,
  at: number,
  type: number,
  name: string,
  source: string,
  message: NdMessage,
): string {
  const from = ` from ${source}`;
  const sourceLink = linkText(message.sourceLinkHigh, message.sourceLinkLow);
  const targetLink = linkText(message.targetLinkHigh, message.targetLinkLow);
  switch (type) {
    case ND_NEIGHBOR_SOLICITATION: {
      const target = addressAt(bytes, at + TARGET);
      // RFC 4862 5.4: who has no address yet asks whether anybody has it.
      return source === "::" ? `ND probe ${target}` : `${name} ${target}${from}${sourceLink}`;
    }
    case ND_NEIGHBOR_ADVERTISEMENT: {
      const router = message.isRouter ? " router" : "";
      return `${name} ${addressAt(bytes, at + TARGET)}${from}${targetLink}${router}`;
    }
    case ND_ROUTER_ADVERTISEMENT:
      return `${name}${from}${sourceLink} lifetime ${get16(bytes, at + ROUTER_LIFETIME)}${announced(bytes, message)}`;
    case ND_REDIRECT:
      return `${name} ${addressAt(bytes, at + REDIRECTED)} to ${addressAt(bytes, at + TARGET)}${from}${targetLink}`;
    default:
      return `${name}${from}${sourceLink}`;
  }
}

function linkText(high: number, low: number): string {
  return high === NO_LINK ? "" : ` link ${formatMac(high * 0x100000000 + (low >>> 0))}`;
}

/** The first of each kind that a router advertisement announces, and how many more there are. */
function announced(bytes: Uint8Array, message: NdMessage): string {
  const found: Record<string, string[]> = { prefix: [], dns: [], nat64: [] };
  for (let at = message.options; at < message.end; at += bytes[at + 1]! * 8) {
    if (bytes[at] === OPTION_PREFIX) {
      const prefix = readPrefix(bytes, at);
      if (prefix) found.prefix!.push(`${formatIPv6(prefix.address)}/${prefix.length} valid ${prefix.lifetime}`);
    } else if (bytes[at] === OPTION_DNS_SERVERS) {
      found.dns!.push(...(readDnsServers(bytes, at)?.addresses.map(formatIPv6) ?? []));
    } else if (bytes[at] === OPTION_PREF64) {
      const prefix = readNat64Prefix(bytes, at);
      if (prefix) found.nat64!.push(`${formatIPv6(prefix.address)}/${prefix.length}`);
    }
  }
  return Object.entries(found)
    .filter(([, values]) => values.length > 0)
    .map(([kind, [first, ...more]]) => ` ${kind} ${first}${more.length > 0 ? ` and ${more.length} more` : ""}`)
    .join("");
}

function addressAt(bytes: Uint8Array, at: number): string {
  return formatIPv6(getIPv6(bytes, at));
}
