/** What softnet itself answers to a denied question by UDP, as a frame. */
import { ipv4Frame, udpPayload } from "../build.ts";
import { macText, uint16, uint32 } from "../bytes.ts";
import { UDP } from "../ipv4.ts";
import type { State } from "../state.ts";

export function answerByName(state: State, frame: Uint8Array): Uint8Array | undefined {
  const data = state.names.ownMessage();
  if (data === undefined || frame[23] !== UDP) return undefined;
  const [source, destination] = [uint32(frame, 30), uint32(frame, 26)];
  const ports = { sourcePort: uint16(frame, 36), destinationPort: uint16(frame, 34) };
  return ipv4Frame({
    ...{ ethernetDestination: macText(frame, 6), ethernetSource: macText(frame, 0), version: 4 },
    ...{ options: new Uint8Array(0), totalLengthError: 0, identification: 0, flags: 2, offset: 0 },
    ...{ ttl: 64, protocol: UDP, badChecksum: false, source, destination, padding: 0 },
    payload: udpPayload({ source, destination, ...ports, lengthError: 0, checksum: "right", data }),
  });
}
