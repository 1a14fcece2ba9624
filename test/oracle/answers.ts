/**
 * What the second guard answers where `reject` is on: TCP resets (RFC 9293 3.5.2) and ICMP "administratively
 * prohibited" (RFC 1812 5.2.7.1), put together from fields.
 */
import { be16, be32, ethernet, ipv4Frame, join } from "./build.ts";
import { macText, onesComplementSum, uint16, uint32 } from "./bytes.ts";
import { type Flow, isBareSyn, tcpFlags } from "./flows.ts";
import { ICMP, type Packet, TCP, UDP } from "./ipv4.ts";
import { isForSeveral, isOfCutFlow } from "./policy.ts";
import type { State } from "./state.ts";

const ANSWERED = [
  ...["policy.block", "policy.destination", "policy.gateway", "policy.metadata"],
  ...["flow.full", "flow.half-open", "flow.unknown", "flow.cut"],
  ...["name.resolver", "name.rebind", "name.quic", "name.unpinned", "name.full"],
  ...["dns.format", "dns.fragment", "dns.budget"],
  ...["name.changed", "name.format", "name.missing", "name.denied"], // their flows are cut
];
/** Programs that use UDP give up at once. */
const UNREACHABLE = ["name.resolver", "name.rebind", "name.quic", "name.unpinned"];

const RST = 4;
const ACK = 16;

/** The answer to a frame from the VM that was dropped for this reason, if it gets one. */
export function answerTo(state: State, frame: Uint8Array, reason: string): Uint8Array | undefined {
  if (!state.answersDenied || !ANSWERED.includes(reason)) return undefined;
  const data = frame.slice(14, 14 + uint16(frame, 16));
  const packet = quote(data);
  if (!packet.first) return undefined;
  if (frame[0]! % 2 === 1) {
    state.reach("no answer to a group address");
    return undefined;
  }
  if (isForSeveral(state, packet.destination)) {
    state.reach("no answer to nobody's address");
    return undefined;
  }
  const bareSyn = isBareSyn(packet);
  const whole = bareSyn
    ? answerToSyn(state, packet)
    : (answerToUnknown(state, packet, reason) ?? answerByIcmp(state, packet, reason, data));
  if (whole === undefined) return undefined;
  if (!state.answerBucket.take(state.now)) {
    state.reach("no token for an answer");
    return undefined;
  }
  const told = bareSyn ? "a RST" : state.gateway === undefined ? "ICMP from afar" : "ICMP from the gateway";
  state.reach(`${told} answers ${reason}`);
  return ethernet(macText(frame, 6), macText(frame, 0), 0x0800, padded(whole));
}

/** The fields of a packet that was already judged to be one. */
function quote(data: Uint8Array): Packet {
  return {
    protocol: data[9]!,
    source: uint32(data, 12),
    destination: uint32(data, 16),
    identification: uint16(data, 4),
    fragment: uint16(data, 6) % 0x4000 !== 0,
    first: uint16(data, 6) % 0x2000 === 0,
    offset: (uint16(data, 6) % 0x2000) * 8,
    moreFragments: Math.floor(uint16(data, 6) / 0x2000) % 2 === 1,
    segmented: false,
    payload: data.slice(20),
    neighbour: "",
    addresses: data.slice(12, 20),
  };
}

function answerToSyn(state: State, packet: Packet): Uint8Array | undefined {
  const { payload } = packet;
  const { fin, rst } = tcpFlags(packet);
  if (rst) {
    state.reach("no answer to a SYN with RST");
    return undefined;
  }
  const headerLength = Math.floor(payload[12]! / 16) * 4;
  if (headerLength < 20 || headerLength > payload.length) {
    state.reach("no answer to a SYN that lies about its header");
    return undefined;
  }
  const data = payload.length - headerLength;
  if (data > 0) state.reach("a RST acknowledges data");
  if (fin) state.reach("a RST acknowledges a FIN");
  const acknowledged = (uint32(payload, 4) + 1 + data + (fin ? 1 : 0)) % 2 ** 32;
  const ports = { source: uint16(payload, 2), destination: uint16(payload, 0) };
  return segment(packet.destination, packet.source, ports, 0, acknowledged, RST + ACK);
}

/** A segment of a connection that is cut or not known gets what it would get from a host that knows of none (RFC 9293 3.10.7.1). */
function answerToUnknown(state: State, packet: Packet, reason: string): Uint8Array | undefined {
  if (packet.protocol !== TCP || (reason !== "flow.unknown" && !isOfCutFlow(state, packet))) return undefined;
  const { ack, rst } = tcpFlags(packet);
  if (!ack || rst) return undefined;
  state.reach(`a RST answers a segment of ${reason === "flow.unknown" ? "an unknown" : "a cut"} flow`);
  const { payload } = packet;
  const ports = { source: uint16(payload, 2), destination: uint16(payload, 0) };
  return segment(packet.destination, packet.source, ports, uint32(payload, 8), 0, RST);
}

function answerByIcmp(state: State, packet: Packet, reason: string, data: Uint8Array): Uint8Array | undefined {
  if (packet.protocol === TCP && tcpFlags(packet).rst) {
    state.reach("no answer to a RST");
    return undefined;
  }
  if (packet.protocol === ICMP && [3, 4, 5, 11, 12].includes(packet.payload[0]!)) {
    state.reach("no answer to an ICMP error");
    return undefined;
  }
  const code = packet.protocol === UDP && UNREACHABLE.includes(reason) ? 3 : 13;
  const message = join([3, code, 0, 0, 0, 0, 0, 0], data.slice(0, 28));
  message.set(be16(0xffff - onesComplementSum(message)), 2);
  return datagram(state.gateway ?? packet.destination, packet.source, ICMP, message);
}

/** The RST that tells the VM of a flow's end. */
export function resetOf(state: State, flow: Flow): Uint8Array | undefined {
  if (Number.parseInt(flow.neighbour.slice(0, 2), 16) % 2 === 1) {
    state.reach("no reset from a group address");
    return undefined;
  }
  if (flow.acknowledged === undefined) {
    state.reach("no reset: the VM acknowledged nothing");
    return undefined;
  }
  const ports = { source: flow.remotePort, destination: flow.vmPort };
  const whole = segment(flow.remote, state.flowAddress!, ports, flow.acknowledged, 0, RST);
  state.reach("a reset of a flow");
  return ethernet(state.vmMac, flow.neighbour, 0x0800, padded(whole));
}

function segment(
  source: number,
  destination: number,
  ports: { source: number; destination: number },
  sequence: number,
  acknowledged: number,
  flags: number,
): Uint8Array {
  const header = join(be16(ports.source), be16(ports.destination), be32(sequence), be32(acknowledged), [
    0x50,
    flags,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  const pseudoHeader = join(be32(source), be32(destination), [0, TCP], be16(header.length));
  header.set(be16(0xffff - onesComplementSum(join(pseudoHeader, header))), 16);
  return datagram(source, destination, TCP, header);
}

/** Up to Ethernet's smallest frame of 60 bytes. */
function padded(whole: Uint8Array): Uint8Array {
  return join(whole, new Uint8Array(Math.max(0, 60 - 14 - whole.length)));
}

/** An IPv4 packet without its Ethernet header. */
function datagram(source: number, destination: number, protocol: number, payload: Uint8Array): Uint8Array {
  const frame = ipv4Frame({
    ethernetDestination: "00:00:00:00:00:00",
    ethernetSource: "00:00:00:00:00:00",
    version: 4,
    options: new Uint8Array(0),
    totalLengthError: 0,
    identification: 0,
    flags: 2, // don't fragment
    offset: 0,
    ttl: 64,
    protocol,
    badChecksum: false,
    source,
    destination,
    payload,
    padding: 0,
  });
  return frame.slice(14);
}

/**
 * An answer as text, as far as the specification says what it is: TCP window and urgent pointer are left out. Checksums
 * are checked and then left out too.
 */
export function tellAnswer(frame: Uint8Array): string {
  const data = frame.slice(14);
  const total = uint16(data, 2);
  const wrong: string[] = [];
  if (uint16(frame, 12) !== 0x0800 || data[0] !== 0x45 || total > data.length) wrong.push("no IPv4 packet");
  if (frame.length !== Math.max(60, 14 + total) || data.slice(total).some((byte) => byte !== 0)) wrong.push("padding");
  if (onesComplementSum(data.slice(0, 20)) !== 0xffff) wrong.push("IPv4 checksum");
  const payload = data.slice(20, total);
  const pseudoHeader = data[9] === TCP ? join(data.slice(12, 20), [0, TCP], be16(payload.length)) : [];
  if (onesComplementSum(join(pseudoHeader, payload)) !== 0xffff) wrong.push("checksum of its payload");
  payload.set([0, 0], data[9] === TCP ? 16 : 2);
  if (data[9] === TCP) {
    payload.set([0, 0], 14);
    payload.set([0, 0], 18);
  }
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  const addresses = `${macText(frame, 6)} > ${macText(frame, 0)}`;
  const header = `${hex(data.slice(0, 10))} ${hex(data.slice(12, 20))}`;
  return `${wrong.map((what) => `wrong: ${what} `).join("")}${addresses} ${header} ${hex(payload)}`;
}
