/** What the tests of DHCPv6 share: messages of one client and one server about one address, and a VM that has it. */
import assert from "node:assert/strict";
import { Bench6, clientId, type Dhcp6Words, dhcp6, dhcp6In, iaAddress, iaNa, SERVER_ID, serverId } from "./support.ts";

export const LEASED = "2001:db8:1::1000";
export const [SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE] = [
  1, 2, 3, 4, 5, 6, 7, 8, 9,
];
export const INFORMATION_REQUEST = 11;
export const INFORM = 36;
export const INFORM_REPLY = 37;

export const solicit = (xid = 1, words: Dhcp6Words = {}): Uint8Array =>
  dhcp6(SOLICIT, [clientId(), iaNa(7)], { xid, ...words });
export const advertise = (xid = 1, duid = SERVER_ID): Uint8Array =>
  dhcp6In(ADVERTISE, [clientId(), serverId(duid), iaNa(7, iaAddress(LEASED))], { xid });
export const request = (xid = 2, duid = SERVER_ID): Uint8Array =>
  dhcp6(REQUEST, [clientId(), serverId(duid), iaNa(7, iaAddress(LEASED))], { xid });
export const replying = (xid: number, ...options: readonly Uint8Array[]): Uint8Array =>
  dhcp6In(REPLY, [clientId(), serverId(), ...options], { xid });
export const reply = (xid = 2, valid = 3600): Uint8Array => replying(xid, iaNa(7, iaAddress(LEASED, valid)));
export const named = (type: number, xid: number, address = LEASED, iaid = 7, words: Dhcp6Words = {}): Uint8Array =>
  dhcp6(type, [clientId(), serverId(), iaNa(iaid, iaAddress(address))], { xid, ...words });

export const leased = (options = {}, made = new Bench6(options)): Bench6 => {
  const bench = made.start();
  bench.passesOut(solicit());
  bench.passesIn(advertise());
  bench.passesOut(request());
  bench.passesIn(reply());
  assert.ok(bench.addresses.includes(LEASED));
  return bench;
};
