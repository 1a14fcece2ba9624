/** Why a packet of the VM's does not pass, where the policy is closed but for names (docs/guard-names.md, Opening by name). */
import type { NameTable } from "../../policy/name-table.ts";
import { isQuic } from "../../policy/web-ports.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { DNS_PORT } from "../default-policy.ts";
import { verdictOf } from "../reasons.ts";

const BLOCK = verdictOf("policy.block");
const DESTINATION = verdictOf("policy.destination");
const GATEWAY = verdictOf("policy.gateway");
const METADATA = verdictOf("policy.metadata");
const RESOLVER = verdictOf("name.resolver");
const REBIND = verdictOf("name.rebind");
const QUIC = verdictOf("name.quic");
const UNPINNED = verdictOf("name.unpinned");

/** DNS over TLS and over QUIC (RFC 7858, RFC 9250), multicast DNS (RFC 6762), LLMNR (RFC 4795). */
const RESOLVER_PORTS: ReadonlySet<number> = new Set([DNS_PORT, 853, 5353, 5355]);
/** NetBIOS names (RFC 1002), by UDP. */
const NETBIOS_PORT = 137;

/** `verdict`: what the rules say; `isRebound`: the address is one that an allowed name had and that no name opens. */
export function refusalOf(
  verdict: number,
  protocol: number,
  port: number,
  isRebound: boolean,
  table: NameTable,
): number {
  if (isRebound && verdict === METADATA) return REBIND;
  if (verdict !== BLOCK && verdict !== DESTINATION && verdict !== GATEWAY) return verdict;
  const udp = protocol === PROTOCOL_UDP;
  if (!udp && protocol !== PROTOCOL_TCP) return isRebound ? REBIND : verdict;
  if (RESOLVER_PORTS.has(port) || (udp && port === NETBIOS_PORT)) return RESOLVER;
  if (isRebound) return REBIND;
  if (isQuic(protocol, port)) return QUIC;
  return table.mayAllowPort(protocol, port) ? UNPINNED : verdict;
}
