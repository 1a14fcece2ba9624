/** The second guard's DHCPv6 (RFC 8415), in the order of the specification. */
import { PASS, uint16 } from "../bytes.ts";
import { address6, isLinkLocal, isMulticast, sum6 } from "./bytes.ts";
import { IA_NA, IA_TA, type Message, readMessage } from "./dhcp-message.ts";
import { type Packet6, UDP } from "./form.ts";
import type { Exchange, State6 } from "./state.ts";

const SOLICIT = 1;
const ADVERTISE = 2;
const REQUEST = 3;
const RENEW = 5;
const REBIND = 6;
const REPLY = 7;
const RELEASE = 8;
const DECLINE = 9;
const INFORMATION = 11;
const REGISTER = 36;
const REGISTERED = 37;
const FROM_VM = [SOLICIT, REQUEST, 4, RENEW, REBIND, RELEASE, DECLINE, INFORMATION, REGISTER];
const NAMES_SERVER = [REQUEST, RENEW, RELEASE, DECLINE];
const GIVES_UP = [RELEASE, DECLINE];
const ALL_SERVERS = address6("ff02::1:2");
const SECOND = 1_000_000;
const FOREVER = 0xffffffff;

export function checkDhcp(six: State6, fromVm: boolean, packet: Packet6): string {
  const { payload, source, destination } = packet;
  if (uint16(payload, 4) !== payload.length) return "dhcpv6.format";
  if (uint16(payload, 6) === 0 || sum6(source, destination, UDP, payload) !== 0xffff) return "dhcpv6.checksum";
  const message = readMessage(payload.slice(8));
  if (message === undefined) return "dhcpv6.format";
  return fromVm ? fromTheVm(six, packet, message) : toTheVm(six, packet, message);
}

function fromTheVm(six: State6, packet: Packet6, message: Message): string {
  const { type, client, server } = message;
  if (!FROM_VM.includes(type)) return "dhcpv6.message-type";
  if (!hasRightAddresses(six, packet, message)) return "dhcpv6.addresses";
  if (client === undefined && type !== INFORMATION && type !== REGISTER) return "dhcpv6.identity";
  if (!namesRightServer(six, message)) return "dhcpv6.server";
  if (GIVES_UP.includes(type)) {
    if (!namesOwnAddresses(six, message)) return "dhcpv6.addresses";
    if (type === DECLINE && six.declines.length >= (six.fault("three DECLINEs") ? 3 : 2)) return "dhcpv6.decline";
  }
  const pairs = pairsOf(message);
  const known = pairs.every((pair) => six.identities.some((one) => one.pair === pair));
  if (GIVES_UP.includes(type) ? !known : !six.hasIdentities(pairs)) return "dhcpv6.identity";
  const old = six.exchanges.find(({ xid }) => xid === message.xid);
  if (old === undefined && six.exchanges.length >= 8 && oldestAcknowledged(six) === undefined) return "dhcpv6.pending";
  if (!six.dhcpBucket.take(six.now)) return "dhcpv6.rate";

  if (six.identities.length === 8 && !known) six.reach("an identity gives its place");
  six.useIdentities(pairs, six.now);
  noteExchange(six, old, packet, message);
  six.note = `dhcpv6.${type}`;
  if (server !== undefined && !isMulticast(packet.destination)) six.reach("a message to a server alone");
  if (GIVES_UP.includes(type)) giveUp(six, message);
  return PASS;
}

function hasRightAddresses(six: State6, { source, destination }: Packet6, message: Message): boolean {
  const { type, server, registered } = message;
  const right = type === REGISTER ? source === registered : isLinkLocal(source);
  if (!right || !six.isValid(source)) return false;
  if (destination === ALL_SERVERS) return true;
  if (!NAMES_SERVER.includes(type) || isMulticast(destination)) return false;
  return server !== undefined && six.lastReply?.server === server && six.lastReply.source === destination;
}

function namesRightServer(six: State6, { type, server, ias }: Message): boolean {
  if (!NAMES_SERVER.includes(type)) return server === undefined || type === INFORMATION;
  if (server === undefined) return false;
  if (type === REQUEST) {
    if (six.fault("a REQUEST to any server")) return true;
    return six.exchanges.some(({ advertised }) => advertised.has(server));
  }
  const leases = ias.flatMap(({ addresses }) => addresses.map(({ address }) => six.find(address)?.lease));
  return leases.every((lease) => lease === undefined || lease.server === server);
}

function namesOwnAddresses(six: State6, { ias, client }: Message): boolean {
  return ias.every(({ iaid, addresses }) =>
    addresses.every(({ address }) => {
      const lease = six.find(address)?.lease;
      return lease !== undefined && lease.client === client && lease.iaid === iaid;
    }),
  );
}

function pairsOf({ client, ias }: Message): string[] {
  if (client === undefined) return [];
  return ias.length === 0 ? [`${client} -`] : ias.map(({ iaid }) => `${client} ${iaid}`);
}

function oldestAcknowledged(six: State6): Exchange | undefined {
  return six.exchanges.filter(({ acknowledged }) => acknowledged).sort((a, b) => a.time - b.time)[0];
}

function noteExchange(six: State6, old: Exchange | undefined, { source }: Packet6, message: Message): void {
  const { xid, type, client, rapidCommit, server, ias } = message;
  const said = { time: six.now, type, client, source, rapidCommit, named: server, ias, acknowledged: false };
  if (old !== undefined) {
    const repliedBy = old.type === type ? old.repliedBy : undefined;
    Object.assign(old, said, { repliedBy });
    return;
  }
  if (six.exchanges.length >= 8) {
    const gone = oldestAcknowledged(six);
    six.exchanges = six.exchanges.filter((one) => one !== gone);
    six.reach("an acknowledged transaction gives its place");
  }
  six.exchanges.push({ xid, ...said, advertised: new Set(), repliedBy: undefined });
}

function giveUp(six: State6, { type, ias, xid }: Message): void {
  if (type === DECLINE) six.declines.push(six.now);
  for (const { address } of ias.flatMap(({ addresses }) => addresses)) {
    const owned = six.find(address);
    if (owned !== undefined && !six.fault("a RELEASE ends nothing")) six.end(owned);
  }
  six.exchanges = six.exchanges.filter((one) => one.xid === xid);
}

// To the VM

function toTheVm(six: State6, packet: Packet6, message: Message): string {
  const { source, destination } = packet;
  const { type, client, server, xid } = message;
  if (![ADVERTISE, REPLY, REGISTERED].includes(type)) return "dhcpv6.message-type";
  if (source === 0n || isMulticast(source) || six.find(source) !== undefined) return "dhcpv6.addresses";
  const exchange = six.exchanges.find((one) => one.xid === xid);
  if (exchange === undefined) return "dhcpv6.transaction";
  if (destination !== exchange.source) return "dhcpv6.addresses";
  if (!fits(six, exchange, message)) return "dhcpv6.transaction";
  if (exchange.client !== undefined && client !== exchange.client && !six.fault("a REPLY to another client")) {
    return "dhcpv6.server";
  }
  if (type === REGISTERED) {
    exchange.acknowledged = true;
    six.note = "dhcpv6.37";
    return PASS;
  }
  if (server === undefined) return "dhcpv6.server";
  if (exchange.repliedBy !== undefined && exchange.repliedBy !== server) return "dhcpv6.server";
  if (NAMES_SERVER.includes(exchange.type) && exchange.named !== server) return "dhcpv6.server";

  if (type === ADVERTISE) {
    if (!exchange.advertised.has(server) && exchange.advertised.size >= 8) return "dhcpv6.pending";
    exchange.advertised.add(server);
    six.note = "dhcpv6.2";
    return PASS;
  }
  const refused = assign(six, exchange, message);
  if (refused !== PASS) return refused;
  exchange.repliedBy = server;
  exchange.acknowledged = true;
  six.lastReply = { server, source };
  const usable = message.dns.filter((address) => address !== 0n && !isMulticast(address));
  if (usable.length > 0) six.leasedDns = [...new Set(usable)].slice(0, 8);
  six.note = `dhcpv6.7-to-${exchange.type}`;
  return PASS;
}

function fits(six: State6, exchange: Exchange, { type, rapidCommit }: Message): boolean {
  if (type === ADVERTISE) return exchange.type === SOLICIT;
  if (type === REGISTERED) return exchange.type === REGISTER;
  if (exchange.type === REGISTER) return false;
  if (exchange.type !== SOLICIT || six.fault("a REPLY to a SOLICIT without Rapid Commit")) return true;
  return exchange.rapidCommit && rapidCommit;
}

/** What a REPLY gives and takes. First everything is checked. */
function assign(six: State6, exchange: Exchange, message: Message): string {
  if (![SOLICIT, REQUEST, RENEW, REBIND].includes(exchange.type) || message.status !== 0) return PASS;
  const client = message.client ?? "";
  const said = message.ias
    .filter(({ kind, status }) => (kind === IA_NA || kind === IA_TA) && status === 0)
    .flatMap(({ kind, iaid, addresses }) => addresses.map((one) => ({ ...one, kind, iaid })))
    .filter(({ status }) => status === 0);
  const given = said.filter(({ valid }) => valid !== 0);
  for (const { address, preferred, valid, kind, iaid } of given) {
    const asked = exchange.ias.some((ia) => ia.kind === kind && ia.iaid === iaid);
    const longer = preferred > valid && !six.fault("preferred longer than valid");
    if (!asked || longer || !six.isAssignable(address)) return "dhcpv6.assigned-address";
  }
  const fresh = [...new Set(given.map(({ address }) => address))].filter((address) => six.find(address) === undefined);
  if (fresh.some((address) => six.isHeldElsewhere(address))) return "dhcpv6.address-held";
  const kept = given.map(({ address }) => address);
  if (fresh.length > 0 && !six.hasPlaces(fresh.length, kept)) return "dhcpv6.pending";

  for (const { address, iaid, valid } of said) {
    if (valid !== 0) continue;
    const owned = six.find(address);
    if (owned?.lease?.client !== client || owned.lease.iaid !== iaid) continue;
    six.reach("a REPLY takes an address back");
    six.end(owned);
  }
  for (const { address, iaid, valid } of given) {
    const owned = six.find(address) ?? six.add(address, {}, kept);
    if (owned.origin === "static") continue;
    if (owned.origin === "slaac" && owned.valid) six.reach("an address of SLAAC becomes one of DHCPv6");
    owned.valid = true;
    owned.askedOnly = false;
    owned.origin = "dhcpv6";
    owned.lease = { server: message.server!, client, iaid };
    owned.expiry = valid === FOREVER ? Number.POSITIVE_INFINITY : six.now + valid * SECOND;
  }
  return PASS;
}
