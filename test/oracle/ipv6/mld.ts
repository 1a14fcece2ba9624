/** The second guard's multicast listener discovery (RFC 2710, RFC 3810). */
import { PASS } from "../bytes.ts";
import { ALL_ROUTERS, address6, addressAt, isLinkLocal, isMulticast, sum6 } from "./bytes.ts";
import { ICMPV6, type Packet6 } from "./form.ts";
import type { State6 } from "./state.ts";

const REPORT = 131;
const DONE = 132;
const REPORT_2 = 143;
const ALL_MLD_ROUTERS = address6("ff02::16");

export function checkMld(six: State6, fromVm: boolean, packet: Packet6): string {
  const { source, destination, payload } = packet;
  const onlyHopByHop = packet.headers.length === 1 && packet.routerAlert === 0;
  if ((packet.hopLimit !== 1 && !six.fault("MLD with any hop limit")) || !onlyHopByHop || packet.fragment)
    return "mld.format";
  if (payload[1] !== 0) return "mld.format";
  if (sum6(source, destination, ICMPV6, payload) !== 0xffff) return "mld.checksum";
  const type = payload[0]!;
  if (payload.length < (type === REPORT_2 ? 8 : 24)) return "mld.format";
  six.note = `mld.${fromVm ? "" : "to-VM."}${type}`;
  if (!fromVm) {
    const unspecified = source === 0n && (type === REPORT || type === REPORT_2);
    if (!unspecified && !isLinkLocal(source)) return "mld.addresses";
    return isMulticast(destination) || six.find(destination) !== undefined ? PASS : "mld.addresses";
  }
  const own = isLinkLocal(source) && six.find(source) !== undefined;
  if (source !== 0n && !own) return "mld.addresses";
  const group = type === REPORT ? addressAt(payload, 8) : undefined;
  const right =
    (type === REPORT_2 && destination === ALL_MLD_ROUTERS) ||
    (type === DONE && destination === ALL_ROUTERS) ||
    (type === REPORT && isMulticast(destination) && destination === group);
  if (!right) return "mld.addresses";
  return six.ndBucket.take(six.now) ? PASS : "nd.rate";
}
