/** What the second guard answers to IPv6 that is denied, put together from fields. */
import { be16, be32, ethernet, join } from "../build.ts";
import { macText, uint16, uint32 } from "../bytes.ts";
import { type Flow, isBareSyn, tcpFlags } from "../flows.ts";
import { udp6 } from "./build.ts";
import { addressAt, addressBytes, isMulticast, sum6 } from "./bytes.ts";
import { ICMPV6, type Packet6, readPacket, TCP, UDP } from "./form.ts";
import { keyOfPacket } from "./policy.ts";
import type { State6 } from "./state.ts";

const ANSWERED = [
  ...["policy.block", "policy.destination", "policy.gateway", "policy.metadata", "policy.on-link"],
  ...["flow.full", "flow.half-open", "flow.unknown", "flow.cut"],
  ...["name.resolver", "name.rebind", "name.quic", "name.unpinned", "name.full"],
  ...["dns.format", "dns.fragment", "dns.budget"],
  ...["name.changed", "name.format", "name.missing", "name.denied"], // their flows are cut
];
/** Programs that use UDP give up at once. */
const UNREACHABLE = ["name.resolver", "name.rebind", "name.quic", "name.unpinned"];
const [FIN, RST, PSH, ACK] = [1, 4, 8, 16] as const;

/** The answer to a frame from the VM that was dropped for this reason, if it gets one. */
export function answerTo6(six: State6, frame: Uint8Array, reason: string): Uint8Array | undefined {
  if (!six.state.answersDenied || !ANSWERED.includes(reason)) return undefined;
  const packet = readPacket(six, true, frame);
  if (typeof packet === "string" || !packet.first) return undefined;
  if (frame[0]! % 2 === 1 || isMulticast(packet.destination)) return undefined;
  const whole = isBareSyn(packet) ? toSyn(packet) : (toUnknown(six, packet, reason) ?? byIcmp(six, packet, reason));
  if (whole === undefined || !six.answerBucket.take(six.now)) return undefined;
  six.reach(`answered by ${whole[6] === TCP ? "RST" : "ICMPv6"}: ${reason}`);
  return ethernet(macText(frame, 6), macText(frame, 0), 0x86dd, whole);
}

function toSyn(packet: Packet6): Uint8Array | undefined {
  const { payload } = packet;
  const { fin, rst } = tcpFlags(packet);
  const headerLength = Math.floor(payload[12]! / 16) * 4;
  if (rst || headerLength < 20 || headerLength > payload.length) return undefined;
  const acknowledged = (uint32(payload, 4) + 1 + payload.length - headerLength + (fin ? 1 : 0)) % 2 ** 32;
  return segment(
    packet.destination,
    packet.source,
    [uint16(payload, 2), uint16(payload, 0)],
    0,
    acknowledged,
    RST + ACK,
  );
}

function toUnknown(six: State6, packet: Packet6, reason: string): Uint8Array | undefined {
  if (packet.protocol !== TCP) return undefined;
  const key = keyOfPacket("out", packet);
  const cut = key !== undefined && six.flows.get(key)?.cut === true;
  const { ack, rst } = tcpFlags(packet);
  if ((reason !== "flow.unknown" && !cut) || !ack || rst) return undefined;
  const { payload } = packet;
  const ports = [uint16(payload, 2), uint16(payload, 0)] as const;
  return segment(packet.destination, packet.source, ports, uint32(payload, 8), 0, RST);
}

function byIcmp(six: State6, packet: Packet6, reason: string): Uint8Array | undefined {
  const { protocol, payload, whole } = packet;
  if (protocol === TCP && tcpFlags(packet).rst) return undefined;
  if (protocol === ICMPV6 && payload[0]! < 128) return undefined;
  const source = six.router?.address ?? packet.destination;
  const code = protocol === UDP && UNREACHABLE.includes(reason) ? 4 : 1;
  const message = join([1, code, 0, 0, 0, 0, 0, 0], whole.slice(0, 1280 - 40 - 8));
  message.set(be16(0xffff - sum6(source, packet.source, ICMPV6, message)), 2);
  return datagram(source, packet.source, ICMPV6, message);
}

/** The RST that tells the VM of a flow's end. */
export function resetOf6(flow: Flow<bigint>, vmMac: string): Uint8Array | undefined {
  if (Number.parseInt(flow.neighbour.slice(0, 2), 16) % 2 === 1 || flow.acknowledged === undefined) return undefined;
  const whole = segment(flow.remote, flow.own, [flow.remotePort, flow.vmPort], flow.acknowledged, 0, RST);
  return ethernet(vmMac, flow.neighbour, 0x86dd, whole);
}

/** Softnet's answer to the question that a frame had or completed. */
export function answerByName6(six: State6, frame: Uint8Array): Uint8Array | undefined {
  const { names } = six.state;
  const data = names.ownMessage();
  const packet = readPacket(six, true, frame);
  if (data === undefined || typeof packet === "string") return undefined;
  const { source, destination, protocol, payload } = packet;
  const ports = [uint16(payload, 2), uint16(payload, 0)] as const;
  const macs = [macText(frame, 6), macText(frame, 0)] as const;
  if (protocol === UDP) {
    const whole = datagram(destination, source, UDP, udp6(destination, source, ports, data));
    return ethernet(...macs, 0x86dd, whole);
  }
  const { sequence, acknowledgement } = names.ownSegment!;
  const message = join(be16(data.length), data);
  const whole = segment(destination, source, ports, sequence, acknowledgement, ACK + PSH + FIN, message);
  return ethernet(...macs, 0x86dd, whole);
}

/** The next RST to the other side of a flow that was broken off. */
export function takeNetworkReset6(six: State6): Uint8Array | undefined {
  const reset = six.names.resets.shift();
  if (reset === undefined) return undefined;
  const { flow, sequence } = reset;
  const ports = [flow.vmPort, flow.remotePort] as const;
  const whole = segment(BigInt(flow.own), BigInt(flow.remote), ports, sequence, 0, RST);
  return ethernet(flow.neighbour, six.state.vmMac, 0x86dd, whole);
}

function segment(
  source: bigint,
  destination: bigint,
  [from, to]: readonly [number, number],
  sequence: number,
  acknowledged: number,
  flags: number,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const ports = join(be16(from), be16(to));
  const header = join(ports, be32(sequence), be32(acknowledged), [0x50, flags, 0, 0, 0, 0, 0, 0], data);
  header.set(be16(0xffff - sum6(source, destination, TCP, header)), 16);
  return datagram(source, destination, TCP, header);
}

function datagram(source: bigint, destination: bigint, protocol: number, payload: Uint8Array): Uint8Array {
  const addresses = join(addressBytes(source), addressBytes(destination));
  return join([0x60, 0, 0, 0], be16(payload.length), [protocol, 64], addresses, payload);
}

/** An answer as text: checksums are checked and then left out, and so are TCP's window and urgent pointer. */
export function tellAnswer6(frame: Uint8Array): string {
  const data = frame.slice(14).slice();
  const length = uint16(data, 4);
  const payload = data.slice(40);
  const wrong = payload.length === length ? "" : "wrong length ";
  const sum = sum6(addressAt(data, 8), addressAt(data, 24), data[6]!, payload);
  if (data[6] === TCP) for (const at of [14, 16, 18]) payload.set([0, 0], at);
  else payload.set([0, 0], 2);
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
  return `${wrong}${sum === 0xffff ? "" : "wrong checksum "}${hex(frame.slice(0, 54))} ${hex(payload)}`;
}
