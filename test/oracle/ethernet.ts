/** The second guard's first look at a frame: length, Ethernet addresses, type; and ARP (RFC 826, RFC 5227). */
import { arpFrame, BROADCAST_MAC } from "./build.ts";
import { macText, PASS, uint16, uint32 } from "./bytes.ts";
import type { Left } from "./offload.ts";
import { SECOND, type State } from "./state.ts";

export type Direction = "egress" | "ingress";

export function checkEthernet(state: State, direction: Direction, frame: Uint8Array, left: Left): string {
  if (frame.length < 14) return "frame.short";
  if (frame.length > state.mtu + 14 && left.kind !== "segmented") return "frame.long";

  const destination = macText(frame, 0);
  const source = macText(frame, 6);
  const reserved = destination.startsWith("01:80:c2:");
  if (direction === "egress") {
    if (source !== state.vmMac) return "ethernet.source";
    if (reserved) return "ethernet.destination";
  } else {
    if (source === state.vmMac || isGroup(source) || source === "00:00:00:00:00:00") return "ethernet.source";
    if (destination !== state.vmMac && !isGroup(destination)) return "ethernet.destination";
    if (reserved) return "ethernet.destination";
  }

  const type = uint16(frame, 12);
  if (type === 0x86dd) return state.ipv6 === undefined ? "ethernet.ipv6" : PASS;
  if (type !== 0x0800 && type !== 0x0806) return "ethernet.type";
  if (type === 0x0806 && left.kind !== "complete") {
    state.reach("no offload: ARP");
    return "frame.offload";
  }
  return PASS;
}

export function isGroup(mac: string): boolean {
  return Number.parseInt(mac.slice(0, 2), 16) % 2 === 1;
}

interface Arp {
  readonly ethernetDestination: string;
  readonly ethernetSource: string;
  readonly operation: number;
  readonly senderHardware: string;
  readonly senderAddress: number;
  readonly targetHardware: string;
  readonly targetAddress: number;
}

export function checkArp(state: State, direction: Direction, frame: Uint8Array): string {
  if (frame.length < 14 + 28) return "arp.format";
  const body = frame.slice(14, 14 + 28);
  if (uint16(body, 0) !== 1 || uint16(body, 2) !== 0x0800 || body[4] !== 6 || body[5] !== 4) return "arp.format";
  const arp: Arp = {
    ethernetDestination: macText(frame, 0),
    ethernetSource: macText(frame, 6),
    operation: uint16(body, 6),
    senderHardware: macText(body, 8),
    senderAddress: uint32(body, 14),
    targetHardware: macText(body, 18),
    targetAddress: uint32(body, 24),
  };
  if (arp.operation !== 1 && arp.operation !== 2) return "arp.operation";
  return direction === "egress" ? arpFromVm(state, arp) : arpToVm(state, arp);
}

function arpFromVm(state: State, arp: Arp): string {
  const bound = state.binding?.address;
  if (arp.senderHardware !== state.vmMac) return "arp.hardware-address";
  const probe = arp.senderAddress === 0;
  if (probe) {
    const own = arp.targetAddress === bound || state.isPending(arp.targetAddress);
    if (arp.operation !== 1 || !own) return "arp.probe";
  } else if (arp.senderAddress !== bound && !mayAskAsFormer(state, arp)) {
    return "arp.sender-address";
  }
  if (!state.arpBucket.take(state.now)) return "arp.rate";
  const former = !probe && arp.senderAddress !== bound;
  if (former && !state.formerBucket.take(state.now)) {
    state.reach("too much ARP as the former address");
    return "arp.rate";
  }
  if (former && isFormerHeld(state)) {
    state.reach("the former address is held elsewhere");
    state.forgetFormer();
    return "arp.sender-address";
  }
  if (former) state.reach(`ARP as the former address: a ${arp.operation === 1 ? "request" : "reply"}`);

  state.note = probe ? "arp.probe" : arp.operation === 1 ? "arp.request" : "arp.reply";
  if (probe) state.noteProbe(arp.targetAddress);
  if (!probe && arp.operation === 1 && arp.targetAddress === state.guardedGateway) noteGatewayRequest(state);
  return PASS;
}

/** What a renewal of the former address needs: to find its server or the gateway, and to be found by the server. */
function mayAskAsFormer(state: State, arp: Arp): boolean {
  const { former } = state;
  if (former === undefined || arp.senderAddress !== former.address) return false;
  const targets = [former.server, state.lastTeacher, state.guardedGateway];
  if (arp.targetAddress === 0 || !targets.includes(arp.targetAddress)) return false;
  if (arp.operation === 1) return true;
  if (isGroup(arp.ethernetDestination)) return false;
  return state.transactions.some(
    ({ kind, asked }) => (kind === "RENEWING" || kind === "REBINDING") && asked === former.address,
  );
}

function isFormerHeld(state: State): boolean {
  try {
    return state.heldElsewhere(state.former!.address);
  } catch {
    return true;
  }
}

function noteGatewayRequest(state: State): void {
  const counted = state.countedRequest;
  if (counted === undefined) {
    state.countedRequest = state.now;
  } else if (state.now - counted >= 1 * SECOND) {
    state.unanswered += 1;
    if (state.unanswered === 3) {
      state.gatewayWasForgotten = state.learnedGatewayMac !== undefined;
      if (state.gatewayWasForgotten && state.questions.end())
        state.reach("no question any more: the VM's own were three");
      state.forgetGatewayMac();
    }
    state.countedRequest = state.now;
  }
  state.gatewayRequest = state.now;
}

function arpToVm(state: State, arp: Arp): string {
  const said = judgeArpToVm(state, arp);
  if (said === "arp.gateway" && state.binding !== undefined && state.questions.begin(state.now)) {
    state.reach("a question is due");
  }
  // Somebody else has the address now.
  if (arp.senderAddress === state.former?.address && arp.senderHardware !== state.vmMac) {
    state.reach("somebody else speaks as the former address");
    state.forgetFormer();
  }
  return said;
}

function judgeArpToVm(state: State, arp: Arp): string {
  const bound = state.binding?.address;
  if (arp.senderAddress === bound || state.isPending(arp.senderAddress)) {
    const probed = state.probes.some((probe) => probe.address === arp.senderAddress);
    if (arp.operation !== 2 || !probed) return "arp.conflict";
    if (arp.senderAddress === state.guardedGateway) state.reach("an own address that is the gateway's too");
    state.note = "arp.conflict-reply";
  } else {
    state.note = "arp.ingress";
  }

  if (state.guardedGateway !== undefined && arp.senderAddress === state.guardedGateway) {
    if (state.gatewayMac === undefined) {
      if (answersOwnRequest(state, arp)) {
        state.learnedGatewayMac = arp.senderHardware;
        state.note = state.gatewayWasForgotten ? "arp.gateway-learned-anew" : "arp.gateway-learned";
        state.gatewayWasForgotten = false;
      } else {
        if (!gatewayAsks(state, arp)) return "arp.gateway";
        state.note = "arp.gateway-asks";
      }
    } else {
      if (arp.senderHardware !== state.gatewayMac) return "arp.gateway";
      if (arp.ethernetSource !== state.gatewayMac) state.reach("the gateway's MAC from another Ethernet source");
      state.note = "arp.gateway-known";
    }
    if (state.gatewayMac !== undefined) {
      state.unanswered = 0;
      state.countedRequest = undefined;
      if (state.questions.end()) state.reach("no question any more: the gateway is heard");
    }
  }
  return PASS;
}

/** The reply from which the gateway's MAC is learned. */
function answersOwnRequest(state: State, arp: Arp): boolean {
  return (
    arp.operation === 2 &&
    arp.ethernetDestination === state.vmMac &&
    arp.targetHardware === state.vmMac &&
    arp.targetAddress === (state.binding ?? state.former)?.address &&
    !isGroup(arp.senderHardware) &&
    state.gatewayRequest !== undefined &&
    state.now - state.gatewayRequest <= 3 * SECOND
  );
}

/** A request from the gateway before its MAC is known, which its own ACK vouches for. */
function gatewayAsks(state: State, arp: Arp): boolean {
  const server = state.acknowledgedFrom;
  return (
    arp.operation === 1 &&
    arp.senderAddress === server?.address &&
    arp.senderHardware === server.mac &&
    arp.ethernetSource === server.mac
  );
}

/** The question that softnet itself is to send now, if there is one. */
export function takeQuestion(state: State): Uint8Array | undefined {
  const request = state.ownRequest.take(state.now);
  if (request !== undefined) {
    state.reach("a request of softnet's own");
    return request;
  }
  const { questions } = state;
  if (!questions.isDue(state.now)) return undefined;
  if (state.gatewayMac !== undefined && questions.hasAskedEnough) {
    state.reach("three questions make the gateway's MAC forgotten");
    state.gatewayWasForgotten = true;
    state.forgetGatewayMac();
  }
  const known = state.gatewayMac;
  if (known === undefined) {
    questions.sentToAll(state.now);
    noteGatewayRequest(state);
    state.reach("a question to all");
  } else {
    questions.sentAlone(state.now);
    state.reach("a question to the gateway alone");
  }
  return arpFrame({
    ethernetDestination: known ?? BROADCAST_MAC,
    ethernetSource: state.vmMac,
    hardwareType: 1,
    protocolType: 0x0800,
    hardwareLength: 6,
    protocolLength: 4,
    operation: 1,
    senderHardware: state.vmMac,
    senderAddress: state.binding!.address,
    targetHardware: "00:00:00:00:00:00",
    targetAddress: state.guardedGateway!,
    padding: 18,
  });
}

/** A question as text. What one by ARP says as target hardware address, the thing that is asked, is left out. */
export function tellQuestion(frame: Uint8Array): string {
  const hex = (from: number, to: number) => Buffer.from(frame.slice(from, to)).toString("hex");
  if (hex(12, 14) === "0800") return hex(0, frame.length);
  return `${hex(0, 32)} ${hex(38, frame.length)}`;
}
