/** What DHCPv6's two directions share, and how a message is read (docs/guard-ipv6.md, DHCPv6). */

import { get16 } from "../../wire/bytes.ts";
import type { Dhcpv6Message } from "../../wire/dhcpv6.ts";
import type { FrameView } from "../../wire/frame-view.ts";
import { PROTOCOL_UDP } from "../../wire/ipv4.ts";
import { checksum6IsRight } from "../../wire/neighbor-discovery.ts";
import { UDP_HEADER } from "../../wire/udp.ts";
import { PASS, verdictOf } from "../reasons.ts";
import type { Addresses } from "./addresses.ts";
import type { Identities6 } from "./dhcpv6-identities.ts";
import type { Transactions6 } from "./dhcpv6-transactions.ts";
import type { RouterWatch } from "./router-watch.ts";

const FORMAT = verdictOf("dhcpv6.format");
const CHECKSUM = verdictOf("dhcpv6.checksum");

const CHECKSUM_AT = 6;

export interface Dhcpv6State {
  readonly addresses: Addresses;
  readonly router: RouterWatch;
  readonly transactions: Transactions6;
  readonly identities: Identities6;
  /** The static address; undefined = none. */
  readonly staticAddress: bigint | undefined;
  /** Read into for each message, one at a time. */
  readonly message: Dhcpv6Message;
  /** Whose REPLY passed last, and from where; undefined = none did. */
  lastReply: { readonly server: Uint8Array; readonly source: Int32Array } | undefined;
  /** That servers announced, at most 8. */
  dnsServers: readonly bigint[];
  /** What policy knows of the network is another now. */
  readonly networkChanged: () => void;
}

/** Reads an unfragmented UDP datagram's message; PASS or a drop reason's number. */
export function readDhcpv6(view: FrameView, message: Dhcpv6Message): number {
  const { bytes, packet, transport, transportLength } = view;
  if (view.udpLength !== transportLength) return FORMAT;
  const checksum = get16(bytes, transport + CHECKSUM_AT);
  if (checksum === 0 || !checksum6IsRight(bytes, packet, PROTOCOL_UDP, transport, transportLength)) return CHECKSUM;
  return message.read(bytes, transport + UDP_HEADER, transportLength - UDP_HEADER) ? PASS : FORMAT;
}
