/** The second guard's DHCP (RFC 2131): reading a message, and what VM and servers may say when. */

import type { RestoredAddress } from "../../src/guard/types.ts";
import {
  type Cidr,
  cidr,
  contains,
  edges,
  macText,
  onesComplementSum,
  PASS,
  prefixLength,
  uint16,
  uint32,
} from "./bytes.ts";
import type { Packet } from "./ipv4.ts";
import { isGloballyReachable, METADATA } from "./registry.ts";
import { type Kind, type OracleBinding, SECOND, type State, type Transaction } from "./state.ts";

const BROADCAST = 0xffffffff;
const BROADCAST_MAC = "ff:ff:ff:ff:ff:ff";
const COOKIE = 0x63825363;

const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const DECLINE = 4;
const ACK = 5;
const NAK = 6;
const RELEASE = 7;
const INFORM = 8;

interface Message {
  readonly op: number;
  readonly htype: number;
  readonly hlen: number;
  readonly hops: number;
  readonly xid: number;
  readonly ciaddr: number;
  readonly yiaddr: number;
  readonly giaddr: number;
  readonly chaddr: string;
  /** All options in RFC order, each with every instance's bytes one after another (RFC 3396). */
  readonly options: Map<number, Uint8Array>;
  /** Bytes of option 61 as text; empty for none. */
  readonly identifier: string;
}

/** The options of one area, or undefined when one runs past its end. */
function walk(area: Uint8Array): { code: number; data: Uint8Array }[] | undefined {
  const found = [];
  let at = 0;
  while (at < area.length) {
    const code = area[at]!;
    if (code === 255) return found;
    if (code === 0) {
      at += 1;
      continue;
    }
    if (at + 1 >= area.length) return undefined;
    const length = area[at + 1]!;
    if (at + 2 + length > area.length) return undefined;
    found.push({ code, data: area.slice(at + 2, at + 2 + length) });
    at += 2 + length;
  }
  return found;
}

function readMessage(bootp: Uint8Array): Message | undefined {
  if (bootp.length < 240) return undefined;
  if (uint32(bootp, 236) !== COOKIE) return undefined;

  const main = walk(bootp.slice(240));
  if (main === undefined) return undefined;
  let all = main;
  const overload = main.filter((option) => option.code === 52);
  if (overload.length > 0) {
    if (overload.length > 1 || overload[0]!.data.length !== 1) return undefined;
    const value = overload[0]!.data[0]!;
    if (value !== 1 && value !== 2 && value !== 3) return undefined;
    const file = value === 1 || value === 3 ? walk(bootp.slice(108, 236)) : [];
    const sname = value === 2 || value === 3 ? walk(bootp.slice(44, 108)) : [];
    if (file === undefined || sname === undefined) return undefined;
    all = [...main, ...file, ...sname];
    if (all.filter((option) => option.code === 52).length > 1) return undefined;
  }

  for (const [code, length] of [
    [50, 4],
    [51, 4],
    [53, 1],
    [54, 4],
  ]) {
    const instances = all.filter((option) => option.code === code);
    if (instances.length > 1) return undefined;
    if (instances.length === 1 && instances[0]!.data.length !== length) return undefined;
  }

  const options = new Map<number, Uint8Array>();
  for (const { code, data } of all) {
    options.set(code, new Uint8Array([...(options.get(code) ?? []), ...data]));
  }
  // 0 is no message type, and 0.0.0.0 neither an address nor a server.
  if (options.get(53)?.[0] === 0) options.delete(53);
  for (const code of [50, 54]) {
    if (options.get(code)?.every((byte) => byte === 0)) options.delete(code);
  }
  if (!options.has(53)) return undefined;
  const identifier = options.get(61) ?? new Uint8Array(0);
  if (identifier.length > 255) return undefined;

  return {
    op: bootp[0]!,
    htype: bootp[1]!,
    hlen: bootp[2]!,
    hops: bootp[3]!,
    xid: uint32(bootp, 4),
    ciaddr: uint32(bootp, 12),
    yiaddr: uint32(bootp, 16),
    giaddr: uint32(bootp, 24),
    chaddr: macText(bootp, 28),
    options,
    identifier: [...identifier].join("."),
  };
}

function option32(message: Message, code: number): number | undefined {
  const data = message.options.get(code);
  return data === undefined ? undefined : uint32(data, 0);
}

/** The whole addresses in an option that lists them. */
function addressList(message: Message, code: number): number[] {
  const data = message.options.get(code) ?? new Uint8Array(0);
  const list = [];
  for (let at = 0; at + 4 <= data.length; at += 4) list.push(uint32(data, at));
  return list;
}

/** Option 1, which counts when it has exactly 4 bytes, and not all of them zero. */
function netmaskOf(message: Message): number | undefined {
  const mask = message.options.get(1);
  return mask?.length === 4 ? uint32(mask, 0) || undefined : undefined;
}

/** The first address of option 3, unless that is 0.0.0.0. */
function firstRouter(message: Message): number | undefined {
  const first = addressList(message, 3)[0];
  return first === 0 ? undefined : first;
}

/** The router to everywhere: of option 121 (RFC 3442), else of its older number, else of option 3. */
function routerOf(message: Message): number | undefined {
  return defaultRoute(message.options.get(121)) ?? defaultRoute(message.options.get(249)) ?? firstRouter(message);
}

/** Whether a message leads any of the VM's traffic to another router, or cannot be read. */
function namesAnotherRouter(message: Message, gateway: number): boolean {
  const lists = [
    listed(message.options.get(3), 4),
    listed(message.options.get(33), 8),
    routesOf(message.options.get(121))?.map(({ router }) => router),
    routesOf(message.options.get(249))?.map(({ router }) => router),
  ];
  return lists.some((routers) => routers === undefined || routers.some((router) => router !== 0 && router !== gateway));
}

/** The last 4 bytes of each entry of that size; undefined where they are not whole, or too many. */
function listed(data: Uint8Array | undefined, size: number): number[] | undefined {
  if (data === undefined) return [];
  if (data.length > 512 || data.length % size !== 0) return undefined;
  return Array.from({ length: data.length / size }, (_, index) => uint32(data, index * size + size - 4));
}

/** Options 12 and 81 say nothing, or the one name that the VM may have (RFC 4702). */
function keepsName(hostname: string, message: Message): boolean {
  const own = message.options.get(12) ?? new Uint8Array(0);
  const full = message.options.get(81) ?? new Uint8Array(0);
  if (own.length > 255 || full.length > 255) return false;
  if (!isName(hostname, plainName(own))) return false;
  if (full.length === 0) return true;
  if (full.length < 3) return false;
  const inLabels = Math.floor(full[0]! / 4) % 2 === 1;
  const text = inLabels ? labelledName(full.slice(3)) : plainName(full.slice(3));
  return text !== undefined && isName(hostname, text);
}

function plainName(data: Uint8Array): string {
  const text = Buffer.from(data).toString("latin1");
  return text.replace(/\0+$/, "").replace(/\.$/, "");
}

/** Labels behind their lengths, up to the end or one zero byte at the end. */
function labelledName(data: Uint8Array): string | undefined {
  const labels: string[] = [];
  let at = 0;
  while (at < data.length) {
    const length = data[at]!;
    if (length === 0) return at === data.length - 1 ? labels.join(".") : undefined;
    if (length > 63 || at + 1 + length > data.length) return undefined;
    const label = Buffer.from(data.slice(at + 1, at + 1 + length)).toString("latin1");
    if (label.includes(".")) return undefined;
    labels.push(label);
    at += 1 + length;
  }
  return labels.join(".");
}

function isName(hostname: string, text: string): boolean {
  const lower = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (lower === "" || lower === hostname) return true;
  if (hostname.includes(".") || !lower.startsWith(`${hostname}.`)) return false;
  return /^[a-z0-9_.-]*$/.test(lower.slice(hostname.length + 1));
}

/** The router of the first route to 0.0.0.0/0, in routes that are all whole. */
function defaultRoute(data: Uint8Array | undefined): number | undefined {
  return routesOf(data)?.find(({ length, router }) => length === 0 && router !== 0)?.router;
}

/** Classless static routes (RFC 3442); undefined where they are not all whole, or too many. */
function routesOf(data: Uint8Array | undefined): { length: number; router: number }[] | undefined {
  if (data === undefined) return [];
  if (data.length > 512) return undefined;
  const routes = [];
  let at = 0;
  while (at < data.length) {
    const length = data[at]!;
    const prefix = Math.ceil(length / 8);
    if (length > 32 || at + 1 + prefix + 4 > data.length) return undefined;
    routes.push({ length, router: uint32(data, at + 1 + prefix) });
    at += 1 + prefix + 4;
  }
  return routes;
}

/** Step 1 and 2 of both directions: UDP's length and checksum, then the message. A string is the drop reason. */
function openUdp(packet: Packet): Message | string {
  const { payload } = packet;
  const length = uint16(payload, 4);
  if (length !== payload.length) return "dhcp.format";
  if (uint16(payload, 6) !== 0) {
    const summed = new Uint8Array(12 + payload.length);
    summed.set(packet.addresses, 0);
    summed.set([0, 17, Math.floor(length / 256), length % 256], 8);
    summed.set(payload, 12);
    if (onesComplementSum(summed) !== 0xffff) return "dhcp.checksum";
  }
  return readMessage(payload.slice(8)) ?? "dhcp.format";
}

export function dhcpFromVm(state: State, frame: Uint8Array, packet: Packet): string {
  const message = openUdp(packet);
  if (typeof message === "string") return message;

  if (message.op !== 1) return "dhcp.operation";
  if (message.htype !== 1 || message.hlen !== 6 || message.chaddr !== state.vmMac) return "dhcp.hardware-address";
  if (message.hops !== 0 || message.giaddr !== 0 || message.options.has(82)) return "dhcp.relay";
  const type = message.options.get(53)![0]!;
  if (![DISCOVER, REQUEST, DECLINE, RELEASE, INFORM].includes(type)) return "dhcp.message-type";
  if (state.hostname !== undefined && !keepsName(state.hostname, message)) return "dhcp.hostname";

  const bound = state.binding?.address;
  if (message.yiaddr !== 0) return "dhcp.client-address";
  const own = type === DISCOVER || isSelecting(message, packet, type) ? [0, bound, state.lastAddress] : [0, bound];
  const unbound = !own.includes(message.ciaddr) && type === REQUEST && mayRenewUnbound(state, message);
  if (!own.includes(message.ciaddr) && !unbound) return "dhcp.client-address";
  if (packet.destination === BROADCAST && macText(frame, 0) !== BROADCAST_MAC) return "dhcp.addresses";
  const sources = unbound ? [0, bound, message.ciaddr] : [0, bound];
  if (!sources.includes(packet.source)) return "dhcp.addresses";

  const transaction = state.transactions.find((entry) => entry.xid === message.xid);
  const what = classify(state, packet, message, type, { transaction, unbound });
  if ("reason" in what) return what.reason;
  const { kind, offering } = what;

  const named = option32(message, 54);
  if (named !== undefined && state.trustedServer !== undefined && named !== state.trustedServer) return "dhcp.server";

  const addsNone = kind === "DECLINE" || kind === "RELEASE";
  if (!state.knowsIdentifier(message.identifier)) {
    if (addsNone || !state.hasRoomForIdentifier()) return "dhcp.client-identifier";
  }

  const question = questionOf(message, kind);
  const waiting = state.transactions.filter((entry) => entry.waiting && state.now - entry.waiting.since <= 3 * SECOND);
  const given = kind === "DECLINE" ? option32(message, 50) : message.ciaddr;
  if (addsNone && waiting.some((entry) => entry.kind === "DISCOVER" || entry.asked !== given)) {
    state.reach(`${kind} while a REQUEST waits`);
    return "dhcp.pending";
  }
  const touched = waiting.filter((entry) => entry === transaction || entry === offering);
  if (!addsNone && touched.length > 0) {
    if (touched.some((entry) => entry.waiting!.question !== question)) {
      state.reach(`another ${kind} while a REQUEST waits`);
      return "dhcp.pending";
    }
    state.reach("a REQUEST that waits comes again");
  }

  const elsewhere = offering !== undefined && offering !== transaction;
  const answered = state.transactions.filter((entry) => entry.answered);
  const oldest = Math.min(...answered.map(({ time }) => time));
  const givesWay = answered.find(({ time }) => time === oldest);
  const isFull = !addsNone && transaction === undefined && !elsewhere && state.transactions.length >= 8;
  if (isFull && givesWay === undefined) return "dhcp.pending";
  if (!state.dhcpBucket.take(state.now)) return "dhcp.rate";

  state.note = `dhcp.${kind}`;
  state.noteIdentifier(message.identifier);
  if (kind === "RELEASE") {
    state.giveUp();
  } else if (kind === "DECLINE") {
    const declined = option32(message, 50)!;
    state.declines.push(state.now);
    state.pending = state.pending.filter((entry) => entry.address !== declined);
    state.giveUp();
  } else {
    if (isFull) {
      state.reach("an answered transaction gives way");
      state.transactions = state.transactions.filter((entry) => entry !== givesWay);
    }
    if (elsewhere) {
      state.reach("the offer of another transaction is taken");
      state.transactions = state.transactions.filter((entry) => entry !== transaction);
      offering.xid = message.xid;
    }
    noteTransaction(state, packet, message, kind, elsewhere ? offering : transaction);
    if (unbound && kind === "REBINDING" && bound === undefined && message.ciaddr !== state.former?.address) {
      if (state.ownRequest.begin(state.vmMac, packet.payload.slice(8), message.ciaddr, state.now)) {
        state.reach("a request of softnet's own is due");
      }
    }
    if (unbound)
      state.reach(`${kind} of ${message.ciaddr === state.former?.address ? "the former" : "an unknown"} address`);
  }
  return PASS;
}

/** A REQUEST in SELECTING, by its form. */
function isSelecting(message: Message, packet: Packet, type: number): boolean {
  return type === REQUEST && packet.source === 0 && packet.destination === BROADCAST && message.options.has(54);
}

/** What a REQUEST asks for, as text. */
function questionOf(message: Message, kind: string): string {
  const form = kind === "RENEWING" ? "REBINDING" : kind;
  const rapid = kind === "DISCOVER" && message.options.has(80) ? "rapid" : "";
  return [form, rapid, option32(message, 50), option32(message, 54), message.ciaddr, message.identifier].join(" ");
}

/** A REQUEST for an address that the VM is not bound to, by which its server is asked. */
function mayRenewUnbound(state: State, message: Message): boolean {
  if (option32(message, 50) !== undefined || option32(message, 54) !== undefined) return false;
  return state.binding?.fixed !== true && !isNoHost(message.ciaddr);
}

/** What the VM's message is by its type and addresses, with the checks of that type; or why it drops. */
function classify(
  state: State,
  packet: Packet,
  message: Message,
  type: number,
  { transaction, unbound }: { transaction: Transaction | undefined; unbound: boolean },
): { kind: Kind | "RELEASE" | "DECLINE"; offering?: Transaction } | { reason: string } {
  const requested = option32(message, 50);
  const named = option32(message, 54);
  const unspecifiedToBroadcast = packet.source === 0 && packet.destination === BROADCAST;
  const fromBound = state.binding !== undefined && packet.source === state.binding.address;
  const boundToBroadcast = fromBound && packet.destination === BROADCAST;
  const boundToServer = fromBound && packet.destination === state.server;
  const sourceIsCiaddr = message.ciaddr === packet.source;

  switch (type) {
    case DISCOVER:
      if (!unspecifiedToBroadcast) return { reason: "dhcp.addresses" };
      return { kind: "DISCOVER" };

    case REQUEST:
      if (unspecifiedToBroadcast && message.ciaddr !== 0 && named === undefined && requested === undefined) {
        if (!unbound) state.reach("REBINDING from 0.0.0.0");
        return { kind: "REBINDING" };
      }
      if (unbound) {
        if (packet.source !== message.ciaddr) return { reason: "dhcp.addresses" };
        if (packet.destination === BROADCAST) return { kind: "REBINDING" };
        const asksFormer = message.ciaddr === state.former?.address;
        const server = state.trustedServer ?? (asksFormer ? state.former?.server : undefined);
        return packet.destination === server ? { kind: "RENEWING" } : { reason: "dhcp.addresses" };
      }
      if (unspecifiedToBroadcast && named !== undefined) {
        if (message.ciaddr !== 0) state.reach("SELECTING with the last address in ciaddr");
        const offers = (entry: Transaction): boolean =>
          entry.offers.some((offer) => offer.server === named && offer.yiaddr === requested);
        const offering = transaction && offers(transaction) ? transaction : state.transactions.findLast(offers);
        if (requested === undefined || offering === undefined) return { reason: "dhcp.server" };
        return { kind: "SELECTING", offering };
      }
      if (unspecifiedToBroadcast) {
        if (message.ciaddr !== 0) return { reason: "dhcp.client-address" };
        if (requested === undefined) return { reason: "dhcp.format" };
        return { kind: "INIT-REBOOT" };
      }
      if (boundToBroadcast || boundToServer) {
        if (!sourceIsCiaddr) return { reason: "dhcp.client-address" };
        if (named !== undefined && named !== state.server) return { reason: "dhcp.server" };
        return { kind: boundToBroadcast ? "REBINDING" : "RENEWING" };
      }
      return { reason: "dhcp.addresses" };

    case INFORM:
      if (!boundToBroadcast && !boundToServer) return { reason: "dhcp.addresses" };
      if (!sourceIsCiaddr) return { reason: "dhcp.client-address" };
      return { kind: "INFORM" };

    case RELEASE:
      if (!boundToServer && !boundToBroadcast) return { reason: "dhcp.addresses" };
      if (!sourceIsCiaddr) return { reason: "dhcp.client-address" };
      if (boundToBroadcast) state.reach("RELEASE to everybody");
      if (named === undefined || named !== state.server) return { reason: "dhcp.server" };
      if (!state.knowsIdentifier(message.identifier)) return { reason: "dhcp.client-identifier" };
      return { kind: "RELEASE" };

    default: {
      // DECLINE
      if (!unspecifiedToBroadcast) return { reason: "dhcp.addresses" };
      if (message.ciaddr !== 0) return { reason: "dhcp.client-address" };
      const offered = state.pending.some((entry) => entry.address === requested && entry.server === named);
      if (named === undefined || !offered) return { reason: "dhcp.decline" };
      if (state.declines.filter((time) => state.now - time < 600 * SECOND).length >= 2)
        return { reason: "dhcp.decline" };
      if (state.declines.length >= 8) {
        state.reach("the ninth DECLINE of a day");
        return { reason: "dhcp.decline" };
      }
      return { kind: "DECLINE" };
    }
  }
}

function noteTransaction(
  state: State,
  packet: Packet,
  message: Message,
  kind: Kind,
  found: Transaction | undefined,
): void {
  const transaction: Transaction = found ?? {
    xid: message.xid,
    time: state.now,
    kind,
    rapidCommit: false,
    offers: [],
    named: undefined,
    asked: undefined,
    renewedFrom: undefined,
    acknowledgedBy: undefined,
    answered: false,
    waiting: undefined,
  };
  if (found === undefined) state.transactions.push(transaction);
  if (transaction.kind !== kind) transaction.acknowledgedBy = undefined;
  transaction.answered = false;
  transaction.renewedFrom = kind === "RENEWING" ? packet.destination : undefined;
  transaction.time = state.now;
  transaction.kind = kind;
  const asks = kind === "DISCOVER" ? message.options.has(80) : kind !== "INFORM";
  transaction.waiting = asks ? { since: state.now, question: questionOf(message, kind) } : undefined;
  if (kind === "DISCOVER") transaction.rapidCommit = message.options.has(80);
  if (kind !== "DISCOVER" && kind !== "SELECTING") transaction.offers = [];
  transaction.named = kind === "SELECTING" ? option32(message, 54) : undefined;
  if (kind === "SELECTING" || kind === "INIT-REBOOT") transaction.asked = option32(message, 50);
  else if (kind === "RENEWING" || kind === "REBINDING") transaction.asked = message.ciaddr;
  else transaction.asked = undefined;
}

export function dhcpToVm(state: State, frame: Uint8Array, packet: Packet): string {
  const message = openUdp(packet);
  if (typeof message === "string") return message;

  if (message.op !== 2) return "dhcp.operation";
  if (message.htype !== 1 || message.hlen !== 6) return "dhcp.hardware-address";
  if (message.chaddr !== state.vmMac) return "dhcp.other-client";
  const type = message.options.get(53)![0]!;
  if (![OFFER, ACK, NAK].includes(type)) return "dhcp.message-type";

  const transaction = state.transactions.find((entry) => entry.xid === message.xid);
  if (transaction === undefined) {
    if (state.gaveUp(message.xid)) state.reach("an answer on its way after RELEASE or DECLINE");
    return "dhcp.transaction";
  }
  const server = option32(message, 54);
  if (server !== undefined && isNoHost(server)) state.reach("a server that cannot be");
  const anyServersNak =
    type === NAK &&
    (transaction.kind === "INIT-REBOOT" || (transaction.kind === "REBINDING" && state.binding === undefined));
  const mayBeNobody = anyServersNak && state.trustedServer === undefined;
  if (server === undefined && mayBeNobody) state.reach(`a NAK of nobody's in ${transaction.kind}`);
  if (server === undefined ? !mayBeNobody : isNoHost(server)) return "dhcp.server";
  if (state.trustedServer !== undefined && server !== state.trustedServer) return "dhcp.server";
  if (state.serverMac !== undefined && macText(frame, 6) !== state.serverMac) {
    state.reach("a DHCP message from another MAC than the server's");
    return "dhcp.server";
  }

  const assigns = type === OFFER || (type === ACK && transaction.kind !== "INFORM");
  const toEverybody = packet.destination === BROADCAST || isDirectedBroadcast(state, frame, packet, message);
  if (assigns && !toEverybody && packet.destination !== message.yiaddr) {
    state.reach("an answer that was routed here");
    return "dhcp.addresses";
  }

  const renews = transaction.kind === "RENEWING" || transaction.kind === "REBINDING";
  const own = [state.lastAddress, renews ? transaction.asked : undefined];
  if (
    assigns &&
    packet.destination !== BROADCAST &&
    own.includes(packet.destination) &&
    !isNear(state, packet.source)
  ) {
    state.reach("an answer to the VM's own address from far away");
    return "dhcp.addresses";
  }

  const mac = macText(frame, 6);
  if (type !== NAK && state.configuredGateway !== undefined && namesAnotherRouter(message, state.configuredGateway)) {
    return "dhcp.router";
  }
  if (type === NAK) return refuse(state, packet, transaction, server, mac);
  if (type === OFFER) return offer(state, packet, message, transaction, server!, mac);
  return acknowledge(state, packet, message, transaction, server!, mac);
}

/** To the last address of the subnet that the message gives, as some servers send what is for everybody. */
function isDirectedBroadcast(state: State, frame: Uint8Array, packet: Packet, message: Message): boolean {
  const subnet = subnetOf(message.yiaddr, netmaskOf(message));
  const ends = subnet && edges(subnet);
  if (subnet === undefined || packet.destination !== ends?.last) return false;
  if (macText(frame, 0) !== BROADCAST_MAC || !contains(subnet, packet.source)) return false;
  if (state.subnet !== undefined && !contains(state.subnet, packet.source)) return false;
  state.reach("an answer to the directed broadcast address");
  return true;
}

/** Whether no router stands between the VM and who sends from this address. */
function isNear(state: State, source: number): boolean {
  const binding = state.binding ?? state.former;
  // 0.0.0.0 says nothing of where it comes from, even where the last ACK came from there.
  if (source !== 0 && [state.trustedServer, binding?.server, state.lastTeacher].includes(source)) return true;
  let subnet = state.subnet;
  if (subnet === undefined && binding !== undefined) subnet = subnetOf(binding.address, binding.netmask);
  if (subnet === undefined || subnet.length > 30) return !isGloballyReachable(source);
  return contains(subnet, source);
}

function offer(
  state: State,
  packet: Packet,
  message: Message,
  transaction: Transaction,
  server: number,
  mac: string,
): string {
  if (transaction.kind !== "DISCOVER" && transaction.kind !== "SELECTING") return "dhcp.transaction";
  const { yiaddr } = message;
  if (yiaddr !== 0 && !isAssignable(state, message, server)) return "dhcp.assigned-address";
  const known = transaction.offers.some(
    (entry) =>
      entry.server === server && entry.source === packet.source && entry.mac === mac && entry.yiaddr === yiaddr,
  );
  if (!known) {
    if (transaction.offers.length >= 8) return "dhcp.pending";
    transaction.offers.push({ server, source: packet.source, mac, yiaddr });
  }
  if (transaction.kind === "DISCOVER") transaction.waiting = undefined;
  if (yiaddr !== 0) state.notePending(yiaddr, server, state.now);
  state.note = yiaddr === 0 ? "dhcp.OFFER-PROXY" : "dhcp.OFFER";
  return PASS;
}

function acknowledge(
  state: State,
  packet: Packet,
  message: Message,
  transaction: Transaction,
  server: number,
  mac: string,
): string {
  const { kind, acknowledgedBy } = transaction;
  const acknowledgedByAnother = acknowledgedBy !== undefined && acknowledgedBy !== server;
  if (kind === "DISCOVER") {
    if (!transaction.rapidCommit || !message.options.has(80)) return "dhcp.transaction";
    if (acknowledgedByAnother) return "dhcp.server";
  } else if (kind === "SELECTING") {
    const from = offersFrom(transaction, packet, server, mac);
    if (!from.some((entry) => entry.yiaddr === transaction.asked)) return "dhcp.server";
  } else if (kind === "RENEWING") {
    if (server !== transaction.renewedFrom) return "dhcp.server";
    if (state.binding?.fixed && state.binding.server === undefined) {
      state.reach("the trusted server renews a static binding");
    }
  } else if (kind === "REBINDING" || kind === "INIT-REBOOT") {
    if (acknowledgedByAnother) return "dhcp.server";
  } else {
    if (state.binding === undefined) return "dhcp.server";
    if (state.server !== undefined && server !== state.server) return "dhcp.server";
    state.note = "dhcp.ACK-INFORM";
    transaction.answered = true;
    return PASS;
  }

  const lease = option32(message, 51);
  if (lease === undefined || lease === 0) return "dhcp.lease-time";
  const { yiaddr } = message;
  if (!isAssignable(state, message, server)) return "dhcp.assigned-address";
  if (kind !== "DISCOVER" && yiaddr !== transaction.asked) return "dhcp.assigned-address";

  if (yiaddr !== state.binding?.address && isHeldElsewhere(state, yiaddr)) return "dhcp.address-held";

  transaction.acknowledgedBy = server;
  transaction.answered = true;
  transaction.waiting = undefined;
  if (state.binding === undefined && (kind === "RENEWING" || kind === "REBINDING")) {
    state.reach(`an unbound VM is bound again in ${kind}`);
  }
  state.notePending(yiaddr, server, state.now);
  state.lastTeacher = packet.source;
  const itself = packet.source === server ? { address: server, mac } : undefined;
  state.setBinding(boundBy(state, message, kind, server, lease), itself);
  state.note = `dhcp.ACK-${kind}`;
  return PASS;
}

function isHeldElsewhere(state: State, address: number): boolean {
  const moves = state.binding !== undefined;
  try {
    if (!state.heldElsewhere(address)) return false;
    state.reach(moves ? "a move to a held address" : "a held address for an unbound VM");
  } catch {
    state.reach("nobody can tell whether an address is held");
  }
  return true;
}

function boundBy(state: State, message: Message, kind: Kind, server: number, lease: number): OracleBinding {
  const before = state.binding;
  const { yiaddr } = message;
  const fixed = before?.fixed ?? false;
  const renewed = kind === "RENEWING" || kind === "REBINDING" ? state.former : undefined;
  const kept = [before, renewed].find((binding) => binding?.address === yiaddr);
  const expiry = fixed || lease === 0xffffffff ? Number.POSITIVE_INFINITY : state.now + lease * SECOND;
  // Whoever answers a shout for help may confirm the address, but not lead its traffic elsewhere.
  if (kind === "REBINDING" && kept !== undefined && (state.server ?? kept.server) !== server) {
    state.reach("another server confirms in REBINDING");
    return { ...kept, server, expiry };
  }

  const netmask = netmaskOf(message) ?? kept?.netmask;
  const router = routerOf(message);
  const believed = router !== undefined && mayBeRouter(state, router, yiaddr, netmask);
  const dnsServers = addressList(message, 6)
    .slice(0, 8)
    .filter((address) => !isNoHost(address));
  if (dnsServers.length < Math.min(8, addressList(message, 6).length)) state.reach("a DNS server that cannot be");
  return {
    address: yiaddr,
    fixed,
    server,
    expiry,
    netmask,
    router: believed ? router : kept?.router,
    dnsServers: dnsServers.length > 0 ? dnsServers : (kept?.dnsServers ?? []),
  };
}

/** A router must be an address that a host may have, no metadata service, and a neighbour where the subnet tells. */
function mayBeRouter(state: State, router: number, yiaddr: number, netmask: number | undefined): boolean {
  if (isNoHost(router) || METADATA.includes(router)) {
    state.reach(isNoHost(router) ? "a router that cannot be" : "a router at a metadata address");
    return false;
  }
  const subnet = state.subnet ?? subnetOf(yiaddr, netmask);
  if (subnet === undefined || contains(subnet, router)) return true;
  state.reach(`a router outside ${state.subnet === undefined ? "the lease's" : "the network's"} subnet`);
  return subnet.length > 30;
}

function subnetOf(address: number, netmask: number | undefined): Cidr | undefined {
  const length = netmask === undefined ? undefined : prefixLength(netmask);
  return length === undefined ? undefined : { address, length };
}

function refuse(
  state: State,
  packet: Packet,
  transaction: Transaction,
  server: number | undefined,
  mac: string,
): string {
  const { kind } = transaction;
  if (kind === "DISCOVER" || kind === "INFORM") return "dhcp.transaction";
  if (kind === "SELECTING" && offersFrom(transaction, packet, server, mac).length === 0) return "dhcp.server";
  if (kind === "RENEWING" && server !== transaction.renewedFrom) return "dhcp.server";
  if (kind === "REBINDING" && state.binding !== undefined && server !== state.server) return "dhcp.server";
  state.note = `dhcp.NAK-${kind}`;
  state.endBinding();
  state.transactions = state.transactions.filter((entry) => entry !== transaction);
  return PASS;
}

/** The offers of the server that the REQUEST named, when this message comes from where they came from. */
function offersFrom(transaction: Transaction, packet: Packet, server: number | undefined, mac: string) {
  if (server === undefined || server !== transaction.named) return [];
  return transaction.offers.filter(
    (entry) => entry.server === server && entry.source === packet.source && entry.mac === mac,
  );
}

const NO_HOSTS = ["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4"].map(cidr);

/** In one of the ranges in which nobody on a network can have an address. */
function isNoHost(address: number): boolean {
  return NO_HOSTS.some((network) => contains(network, address));
}

function isEdge(network: Cidr | undefined, address: number): boolean {
  const ends = network && edges(network);
  return ends !== undefined && (address === ends.first || address === ends.last);
}

function isAssignable(state: State, message: Message, server: number): boolean {
  const { yiaddr } = message;
  if (state.binding?.fixed) return yiaddr === state.binding.address;
  if (yiaddr === firstRouter(message)) return false;
  return couldBeGiven(state, yiaddr, { server, router: routerOf(message), netmask: netmaskOf(message) });
}

interface Lease {
  readonly server: number;
  readonly router: number | undefined;
  readonly netmask: number | undefined;
}

/** Whether a VM can have this address in this network, next to what else the lease says. */
function couldBeGiven(state: State, yiaddr: number, { server, router, netmask }: Lease): boolean {
  if (isNoHost(yiaddr)) return false;
  if (yiaddr === router || yiaddr === server) return false;
  if (yiaddr === state.guardedGateway) {
    state.reach("the gateway's address assigned");
    return false;
  }
  if (isEdge(subnetOf(yiaddr, netmask), yiaddr)) return false;
  if (state.subnet !== undefined && !contains(state.subnet, yiaddr)) return false;
  if (!isEdge(state.subnet, yiaddr)) return true;
  state.reach("an edge of the network's subnet assigned");
  return false;
}

/** The binding that the VM had before the guard was made, as if its ACK had just come; or nothing. */
export function restoreBinding(state: State, kept: RestoredAddress): void {
  const refusal = whyNotRestored(state, kept);
  state.reach(refusal === undefined ? "a restored binding" : `no restored binding: ${refusal}`);
  if (refusal !== undefined) return;
  const { address, server, expiry, acknowledged } = kept;
  const [router, netmask] = [kept.router || undefined, kept.netmask || undefined];
  const believed = router !== undefined && mayBeRouter(state, router, address, netmask);
  const dnsServers = kept.dnsServers.slice(0, 8).filter((entry) => !isNoHost(entry));
  const mac = acknowledged?.sourceMac
    .toString(16)
    .padStart(12, "0")
    .replace(/(..)(?!$)/g, "$1:");
  const itself = acknowledged?.source === server && mac !== undefined ? { address: server, mac } : undefined;
  const binding = { address, fixed: false, server, expiry, netmask, router: believed ? router : undefined, dnsServers };
  state.setBinding(binding, itself);
  if (acknowledged === undefined) return;
  state.lastTeacher = acknowledged.source;
  state.identifiers.push({ identifier: [...(acknowledged.clientIdentifier ?? [])].join("."), time: 0 });
}

function whyNotRestored(state: State, kept: RestoredAddress): string | undefined {
  const { address, server, expiry } = kept;
  if (state.binding?.fixed) return "a static address";
  if (Number.isNaN(expiry) || expiry <= 0) return "its expiry";
  if (isNoHost(server)) return "a server that cannot be";
  if (state.trustedServer !== undefined && state.trustedServer !== server) return "another server is trusted";
  const lease = { server, router: kept.router || undefined, netmask: kept.netmask || undefined };
  return couldBeGiven(state, address, lease) ? undefined : "its address";
}
