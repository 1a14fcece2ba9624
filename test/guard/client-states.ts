/** The states in which clients meet servers, each as a play that ends online. */
import assert from "node:assert/strict";
import { formatIPv4 } from "../../src/wire/address.ts";
import { Guest, LEASE } from "./client-guest.ts";
import type { ClientRow } from "./client-rows.ts";
import type { ServerManner } from "./server-manners.ts";
import { ADDRESS, arp, arpReply, GATEWAY, GATEWAY_MAC, HOUR, MINUTE, SECOND } from "./support.ts";

export interface ClientState {
  readonly name: string;
  /** Whether a client comes into this state; default: all do. */
  readonly for?: (row: ClientRow) => boolean;
  readonly play: (row: ClientRow, manner: ServerManner) => Guest;
}

const reboots = ({ reboots }: ClientRow) => reboots;
const OTHER = "192.168.64.6";

function initialised(row: ClientRow, manner: ServerManner): Guest {
  const guest = new Guest(row, manner);
  guest.init();
  return guest;
}

/** A guest that slept for longer than its lease. */
function asleep(row: ClientRow, manner: ServerManner): Guest {
  const guest = initialised(row, manner);
  guest.bench.wait(8 * HOUR);
  guest.bench.assertOffline();
  return guest;
}

function rebinding(guest: Guest, source: "0.0.0.0" | "own"): Guest {
  for (const pause of [60, 22, 11]) {
    guest.bench.wait(pause * SECOND);
    guest.renew();
  }
  guest.bench.wait(15 * SECOND);
  guest.rebind(source);
  guest.acknowledged();
  guest.bench.wait((LEASE - 1) * SECOND);
  return guest;
}

/** The same client with the broadcast flag the other way round. */
const flagged = (row: ClientRow): ClientRow => ({ ...row, broadcast: row.broadcast !== true });

export const CLIENT_STATES: readonly ClientState[] = [
  { name: "G1 INIT and SELECTING", play: initialised },
  {
    name: "G1 a new xid in each message",
    play: (row, manner) => initialised({ ...row, xid: "message" }, manner),
  },
  { name: "the broadcast flag the other way round", play: (row, manner) => initialised(flagged(row), manner) },
  {
    name: "INIT-REBOOT",
    for: reboots,
    play(row, manner) {
      const guest = new Guest(row, manner);
      guest.reboot();
      guest.bound();
      return guest;
    },
  },
  {
    name: "Rapid Commit",
    play(row, manner) {
      const guest = new Guest({ ...row, options: row.options.replace("5000", "") }, manner);
      guest.commit();
      return guest;
    },
  },
  {
    name: "G4 RENEWING for an hour, and the address lasts",
    play(row, manner) {
      const guest = initialised(row, manner);
      for (let renewal = 0; renewal < 60; renewal++) {
        guest.bench.wait(MINUTE);
        guest.renew();
        guest.acknowledged();
      }
      assert.equal(guest.bench.changes.length, 61);
      return guest;
    },
  },
  {
    name: "G2 REBINDING from its own address after renewals that nobody answered",
    play: (row, manner) => rebinding(initialised(row, manner), "own"),
  },
  {
    name: "G2 REBINDING from 0.0.0.0 after renewals that nobody answered",
    play: (row, manner) => rebinding(initialised(row, manner), "0.0.0.0"),
  },
  {
    name: "G3 RENEWING after the lease ended in a pause, with the ARP that it needs",
    play(row, manner) {
      const guest = asleep(row, manner);
      guest.bench.passesOut(arp());
      guest.bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
      guest.renew();
      guest.bench.passesIn(arp({ sender: GATEWAY, target: ADDRESS, from: GATEWAY_MAC }));
      guest.bench.passesOut(arp({ operation: 2, target: GATEWAY, to: GATEWAY_MAC, targetMac: GATEWAY_MAC }));
      guest.bench.assertOffline();
      guest.acknowledged();
      return guest;
    },
  },
  {
    name: "G3 REBINDING after the lease ended in a pause",
    play(row, manner) {
      const guest = asleep(row, manner);
      guest.rebind();
      guest.bench.assertOffline();
      guest.acknowledged();
      return guest;
    },
  },
  {
    name: "G3 REBINDING behind a softnet that knows nothing",
    play(row, manner) {
      const guest = new Guest(row, manner);
      guest.rebind();
      guest.bench.assertOffline();
      guest.acknowledged();
      return guest;
    },
  },
  {
    name: "its lease ran out while nobody answered, and it starts anew",
    play(row, manner) {
      const guest = initialised(row, manner);
      guest.bench.wait(MINUTE);
      guest.renew();
      guest.bench.wait(50 * SECOND);
      guest.rebind();
      guest.bench.wait(MINUTE);
      guest.bench.assertOffline();
      guest.init();
      return guest;
    },
  },
  {
    name: "G6 a NAK to INIT-REBOOT, and it starts anew",
    for: reboots,
    play(row, manner) {
      const guest = new Guest(row, manner);
      guest.reboot("192.168.64.77");
      guest.bench.passesIn(guest.refusal());
      guest.init();
      return guest;
    },
  },
  {
    name: "a NAK to its renewal (or, where it names no server, the lease's end), and it starts anew",
    play(row, manner) {
      const guest = initialised(row, manner);
      guest.bench.wait(MINUTE);
      guest.renew();
      if (manner.nak === "") {
        guest.bench.dropsIn("dhcp.server", guest.refusal());
        guest.bench.wait(MINUTE);
      } else guest.bench.passesIn(guest.refusal());
      guest.bench.assertOffline();
      guest.init();
      return guest;
    },
  },
  {
    name: "another client identifier, as a boot loader has one before the system, and another address",
    play(row, manner) {
      const loader = new Guest(row, manner, { options: "3d11 00 4c4c4544 0042 3510 8051 b4c04f565931" });
      loader.init(OTHER);
      assert.equal(loader.bench.bound, OTHER);
      const guest = new Guest(row, manner, {}, loader.bench, 0x6b000000);
      guest.init();
      return guest;
    },
  },
  {
    name: "INFORM",
    play(row, manner) {
      const guest = initialised(row, manner);
      guest.inform();
      return guest;
    },
  },
  {
    name: "G8 the default route in option 121",
    play(row, manner) {
      const guest = new Guest(row, manner, { acknowledged: "7905 00 c0a84001" });
      guest.init();
      assert.equal(formatIPv4(guest.bench.guard.binding.ipv4!.router!), GATEWAY);
      return guest;
    },
  },
];
