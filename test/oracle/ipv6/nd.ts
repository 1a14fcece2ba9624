/** The second guard's neighbour discovery (RFC 4861, RFC 4862): form, what the VM may say, what the network may. */
import { macText, PASS } from "../bytes.ts";
import { ALL_NODES, ALL_ROUTERS, addressAt, isInLinkLocal64, isMulticast, solicitedNode, sum6 } from "./bytes.ts";
import { ICMPV6, type Packet6 } from "./form.ts";
import { considerRouter, teach } from "./router.ts";
import { askAbout, mayBecome } from "./savi.ts";
import type { Owned, State6 } from "./state.ts";

const RS = 133;
const RA = 134;
const NS = 135;
const NA = 136;
const REDIRECT = 137;
const LEAST: Record<number, number> = { [RS]: 8, [RA]: 16, [NS]: 24, [NA]: 24, [REDIRECT]: 40 };

export interface NdOption {
  readonly type: number;
  /** With type and length. */
  readonly data: Uint8Array;
}

export interface NdMessage {
  readonly packet: Packet6;
  readonly body: Uint8Array;
  readonly target: bigint;
  /** MAC addresses in options 1 and 2. */
  readonly sourceLink: string | undefined;
  readonly targetLink: string | undefined;
  readonly options: readonly NdOption[];
}

const SECOND = 1_000_000;

/** Verdict on a message of types 133 to 137 in one piece and without extension headers. */
export function checkNd(six: State6, fromVm: boolean, packet: Packet6): string {
  const message = readNd(packet);
  if (typeof message === "string") return message;
  switch (message.body[0]) {
    case RS:
      return fromVm ? solicitsRouter(six, message) : "icmpv6.type";
    case RA:
      return advertisesRouter(six, message);
    case NS:
      return fromVm ? solicits(six, message) : solicitsVm(six, message);
    case NA:
      return fromVm ? advertises(six, message) : advertisesToVm(six, message);
    default:
      return "icmpv6.router";
  }
}

function readNd(packet: Packet6): NdMessage | string {
  const body = packet.payload;
  if (packet.hopLimit !== 255 || body[1] !== 0) return "nd.format";
  if (sum6(packet.source, packet.destination, ICMPV6, body) !== 0xffff) return "nd.checksum";
  const least = LEAST[body[0]!]!;
  if (body.length < least) return "nd.format";
  const options: NdOption[] = [];
  let at = least;
  while (at < body.length) {
    const length = body[at + 1] === undefined ? 0 : body[at + 1]! * 8;
    if (length === 0 || at + length > body.length) return "nd.format";
    options.push({ type: body[at]!, data: body.slice(at, at + length) });
    at += length;
  }
  if (options.length > 32) return "nd.format";
  const links = [1, 2].map((type) => options.filter((option) => option.type === type));
  if (links.some((found) => found.length > 1 || (found[0] && found[0].data.length !== 8))) return "nd.format";
  const [sourceLink, targetLink] = links.map((found) => found[0] && macText(found[0].data, 2));
  const target = body.length >= 24 ? addressAt(body, 8) : 0n;
  return { packet, body, target, sourceLink, targetLink, options };
}

// From the VM

const foreign = (six: State6, link: string | undefined): boolean => link !== undefined && link !== six.state.vmMac;

function solicits(six: State6, message: NdMessage): string {
  const { packet, target } = message;
  const { source, destination } = packet;
  if (isMulticast(target) || target === 0n || target === 1n) return "nd.target";
  if (source === 0n) return detectsDuplicate(six, message);
  if (six.find(source) === undefined) {
    askAbout(six, source);
    return "nd.source";
  }
  if (destination !== target && destination !== solicitedNode(target)) return "nd.destination";
  const checksLink = !six.fault("the VM's NS names another MAC");
  if (checksLink && (foreign(six, message.sourceLink) || foreign(six, message.targetLink))) return "nd.link-layer";
  if (!six.ndBucket.take(six.now)) return "nd.rate";
  six.note = "nd.NS";
  return PASS;
}

function detectsDuplicate(six: State6, message: NdMessage): string {
  const { target, packet } = message;
  if (packet.destination !== solicitedNode(target)) return "nd.destination";
  if (message.sourceLink !== undefined || foreign(six, message.targetLink)) return "nd.link-layer";
  const owned = six.find(target);
  if (owned === undefined && !six.mayBe(target)) return "nd.target";
  if (!six.ndBucket.has(six.now)) return "nd.rate";
  if (owned === undefined) {
    const refused = mayBecome(six, target);
    if (refused !== PASS) return refused;
    six.addressBucket.take(six.now);
    six.add(target, { detected: six.now });
    six.note = "nd.NS-DAD-new";
  } else {
    owned.detected = six.now;
    owned.askedOnly = false;
    if (six.waiting.includes(target)) {
      six.waiting = six.waiting.filter((address) => address !== target);
      owned.since = six.now;
      six.reach("duplicate address detection makes a question superfluous");
    }
    six.note = owned.valid ? "nd.NS-DAD-valid" : "nd.NS-DAD-tentative";
  }
  six.ndBucket.take(six.now);
  return PASS;
}

function advertises(six: State6, message: NdMessage): string {
  const { packet, target, body } = message;
  const { source, destination } = packet;
  const flags = body[4]!;
  if (six.find(target) === undefined && !six.fault("an NA for an address of nobody's")) return "nd.target";
  if (six.find(source) === undefined) return "nd.source";
  if (foreign(six, message.targetLink) || foreign(six, message.sourceLink)) return "nd.link-layer";
  if (flags >= 0x80 && !six.fault("an NA with flag R")) return "nd.router-flag";
  if (isMulticast(destination)) {
    if (destination !== ALL_NODES && destination !== ALL_ROUTERS) return "nd.destination";
    if (isSolicited(flags)) return "nd.format";
  }
  if (!six.ndBucket.take(six.now)) return "nd.rate";
  six.use(target);
  six.note = "nd.NA";
  return PASS;
}

const isSolicited = (flags: number): boolean => Math.floor(flags / 0x40) % 2 === 1;

function solicitsRouter(six: State6, message: NdMessage): string {
  const { source, destination } = message.packet;
  if (source === 0n) {
    if (message.sourceLink !== undefined) return "nd.link-layer";
  } else if (six.find(source) === undefined) {
    return "nd.source";
  }
  if (foreign(six, message.sourceLink) || foreign(six, message.targetLink)) return "nd.link-layer";
  if (destination !== ALL_ROUTERS && destination !== six.router?.address) return "nd.destination";
  if (!six.ndBucket.take(six.now)) return "nd.rate";
  six.note = source === 0n ? "nd.RS-unspecified" : "nd.RS";
  return PASS;
}

// To the VM

function advertisesRouter(six: State6, message: NdMessage): string {
  const { packet, sourceLink } = message;
  const { source, destination, ethernetSource } = packet;
  if (!isInLinkLocal64(source) || six.find(source) !== undefined) return "nd.source";
  if (destination !== ALL_NODES && six.find(destination) === undefined) return "nd.destination";
  if (sourceLink !== undefined && sourceLink !== ethernetSource) return "nd.link-layer";
  if (!considerRouter(six, source, ethernetSource)) return "nd.router";
  teach(six, message);
  six.note = "nd.RA";
  return PASS;
}

function solicitsVm(six: State6, message: NdMessage): string {
  const { packet, target, sourceLink } = message;
  const { source, destination } = packet;
  if (source === 0n && (sourceLink !== undefined || destination !== solicitedNode(target))) return "nd.format";
  if (isMulticast(target)) return "nd.target";
  six.note = source === 0n ? "nd.to-VM.NS-DAD" : "nd.to-VM.NS";
  if (source === 0n) {
    const owned = six.find(target);
    return owned === undefined || owned.valid ? PASS : conflict(six, owned);
  }
  const owned = six.find(source);
  if (owned !== undefined) return conflict(six, owned);
  return speaksAsRouter(six, source, packet.ethernetSource, sourceLink);
}

function advertisesToVm(six: State6, message: NdMessage): string {
  const { packet, target, body } = message;
  if (isMulticast(target)) return "nd.format";
  if (isSolicited(body[4]!) && isMulticast(packet.destination)) return "nd.format";
  six.note = "nd.to-VM.NA";
  const owned = six.find(target);
  if (owned !== undefined) return conflict(six, owned);
  return speaksAsRouter(six, target, packet.ethernetSource, message.targetLink);
}

/** Whoever speaks as the router does so from its MAC. */
function speaksAsRouter(six: State6, address: bigint, ethernetSource: string, link: string | undefined): string {
  if (!six.routerAddresses.includes(address)) return PASS;
  const mac = six.router?.mac;
  if (mac === undefined || ethernetSource !== mac) return "nd.router";
  if (link !== undefined && link !== mac && !six.fault("the router's MAC in an option is not looked at")) {
    return "nd.router";
  }
  six.note = "nd.to-VM.router";
  return PASS;
}

/** Somebody else claims an address of the VM's. */
function conflict(six: State6, owned: Owned): string {
  if (owned.askedOnly && !owned.valid) {
    six.reach("an address that softnet asked about is somebody else's");
    six.end(owned);
    return "nd.conflict";
  }
  const { detected } = owned;
  const window = six.fault("answers for 4 s") ? 4 : 3;
  if (detected === undefined || six.now - detected > window * SECOND) return "nd.conflict";
  if (!six.detectionBucket.take(six.now)) {
    six.reach("no token for an answer to duplicate address detection");
    return "nd.conflict";
  }
  six.note = `nd.conflict-${owned.valid ? "valid" : "tentative"}`;
  if (!owned.valid || six.fault("an answer ends a valid address")) six.end(owned);
  return PASS;
}
