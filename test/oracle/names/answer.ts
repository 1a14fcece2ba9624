/** What softnet itself sends for names: its answers to denied questions, by UDP and TCP, and a RST to the other side, as frames. */
import { be16, be32, ipv4Frame, join, udpPayload } from "../build.ts";
import { macText, onesComplementSum, uint16, uint32 } from "../bytes.ts";
import { TCP, UDP } from "../ipv4.ts";
import type { State } from "../state.ts";

const [FIN, RST, PSH, ACK] = [1, 4, 8, 16] as const;

/** The answer to a question that was denied, which `frame` had or completed. */
export function answerByName(state: State, frame: Uint8Array): Uint8Array | undefined {
  const data = state.names.ownMessage();
  if (data === undefined) return undefined;
  const [source, destination] = [uint32(frame, 30), uint32(frame, 26)];
  const header = 14 + (frame[14]! % 16) * 4;
  const ports = { sourcePort: uint16(frame, header + 2), destinationPort: uint16(frame, header) };
  const macs = { ethernetDestination: macText(frame, 6), ethernetSource: macText(frame, 0) };
  const ends = { ...macs, source, destination };
  if (frame[23] === UDP) {
    const payload = udpPayload({ source, destination, ...ports, lengthError: 0, checksum: "right", data });
    return packetOf({ ...ends, protocol: UDP, payload });
  }
  const { sequence, acknowledgement } = state.names.ownSegment!;
  const numbers = { sequence, acknowledgement, flags: ACK + PSH + FIN };
  const payload = segmentOf({ ...ends, ...ports, ...numbers, data: join(be16(data.length), data) });
  return packetOf({ ...ends, protocol: TCP, payload });
}

/** The next RST to the other side of a flow that was broken off. */
export function takeNetworkReset(state: State): Uint8Array | undefined {
  const reset = state.names4.resets.shift();
  if (reset === undefined) return undefined;
  const { flow, sequence } = reset;
  const ends = { source: Number(flow.own), destination: Number(flow.remote) };
  const ports = { sourcePort: flow.vmPort, destinationPort: flow.remotePort };
  const numbers = { sequence, acknowledgement: 0, flags: RST };
  const payload = segmentOf({ ...ends, ...ports, ...numbers, data: new Uint8Array(0) });
  const macs = { ethernetDestination: flow.neighbour, ethernetSource: state.vmMac };
  return packetOf({ ...ends, ...macs, protocol: TCP, payload });
}

interface Ends {
  readonly source: number;
  readonly destination: number;
}

interface Segment extends Ends {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly data: Uint8Array;
}

function segmentOf(of: Segment): Uint8Array {
  const header = [be16(of.sourcePort), be16(of.destinationPort), be32(of.sequence), be32(of.acknowledgement)];
  const segment = join(...header, [0x50, of.flags, 0, 0, 0, 0, 0, 0], of.data);
  const pseudoHeader = join(be32(of.source), be32(of.destination), [0, TCP], be16(segment.length));
  segment.set(be16(0xffff - onesComplementSum(join(pseudoHeader, segment))), 16);
  return segment;
}

interface Sent extends Ends {
  readonly ethernetDestination: string;
  readonly ethernetSource: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

/** A frame of 60 bytes at least. */
function packetOf({ payload, ...sent }: Sent): Uint8Array {
  return ipv4Frame({
    ...sent,
    ...{ version: 4, options: new Uint8Array(0), totalLengthError: 0, identification: 0, flags: 2, offset: 0 },
    ...{ ttl: 64, badChecksum: false, payload, padding: Math.max(0, 60 - 34 - payload.length) },
  });
}
