/** The second guard's IPv6 half, from docs/guard-ipv6.md: form, both directions, and where each section begins. */

import { PASS, uint16 } from "../bytes.ts";
import type { Direction } from "../ethernet.ts";
import { isGroup } from "../ethernet.ts";
import { checkOffload6, type Left } from "../offload.ts";
import { isMulticast } from "./bytes.ts";
import { checkDhcp } from "./dhcp.ts";
import { ICMPV6, type Packet6, readPacket, UDP } from "./form.ts";
import { checkMld } from "./mld.ts";
import { checkNd } from "./nd.ts";
import { checkPolicy6, isError, quotationOf } from "./policy.ts";
import { askAbout } from "./savi.ts";
import type { State6 } from "./state.ts";

const MLD_TYPES = [130, 131, 132, 143];
const ND_TYPES = [133, 134, 135, 136, 137];
const DHCP_PORTS = [546, 547];

export function checkIpv6(six: State6, direction: Direction, frame: Uint8Array, left: Left): string {
  const fromVm = direction === "egress";
  const packet = readPacket(six, fromVm, frame, left.kind === "segmented");
  if (typeof packet === "string") return packet;
  const unborne = checkOffload6(six, left, frame, packet);
  if (unborne !== PASS) return unborne;
  const verdict = judge(six, fromVm, packet);
  if (verdict === PASS && fromVm) six.use(packet.source);
  six.lookAtNetwork();
  return verdict;
}

function judge(six: State6, fromVm: boolean, packet: Packet6): string {
  const { protocol, payload, first } = packet;
  if (isGroup(packet.ethernetDestination) && !isMulticast(packet.destination)) return "ipv6.group-frame";

  if (protocol === ICMPV6 && first) {
    const type = payload[0]!;
    const hidden = six.fault("an RA of the VM's behind a header passes on") && packet.headers.length > 0;
    if (fromVm && [134, 137].includes(type) && !hidden) return "icmpv6.router";
    if (fromVm && type === 130) return "mld.query";
    if (ND_TYPES.includes(type)) {
      const behind = packet.headers.filter((header) => header !== 60 || !six.fault("ND behind destination options"));
      return behind.length > 0 ? "nd.extension" : checkNd(six, fromVm, packet);
    }
    if (MLD_TYPES.includes(type)) return checkMld(six, fromVm, packet);
    if (![1, 2, 3, 4, 128, 129].includes(type)) return "icmpv6.type";
  }

  if (protocol === UDP && first) {
    const [source, destination] = [uint16(payload, 0), uint16(payload, 2)];
    const dhcp = fromVm ? DHCP_PORTS.includes(source) || DHCP_PORTS.includes(destination) : destination === 546;
    if (dhcp) {
      const right = fromVm ? source === 546 && destination === 547 : source === 547;
      if (!right) return "dhcpv6.ports";
      return packet.fragment ? "dhcpv6.fragment" : checkDhcp(six, fromVm, packet);
    }
  }
  return fromVm ? fromTheVm(six, packet) : toTheVm(six, packet);
}

function toTheVm(six: State6, packet: Packet6): string {
  if (six.former.includes(packet.destination) && !six.fault("packets to a former address pass")) {
    six.reach("a packet to a former address");
    return "ipv6.unbound";
  }
  if (isError(packet)) {
    const quoted = quotationOf(six, packet);
    if (!six.isValid(packet.destination) || quoted?.source !== packet.destination) return "icmpv6.quote";
  }
  return checkPolicy6(six, false, packet);
}

function fromTheVm(six: State6, packet: Packet6): string {
  const { source } = packet;
  if (source === 0n) return "ipv6.unbound";
  const owned = six.find(source);
  if (owned === undefined) {
    const reason = six.owned.length === 0 ? "ipv6.unbound" : "ipv6.source";
    askAbout(six, source);
    return reason;
  }
  if (!owned.valid && !six.fault("tentative addresses send")) return "ipv6.tentative";
  if (isError(packet)) {
    const quoted = quotationOf(six, packet);
    if (quoted?.source !== packet.destination || !six.isValid(quoted.destination)) return "icmpv6.quote";
  }
  return checkPolicy6(six, true, packet);
}
