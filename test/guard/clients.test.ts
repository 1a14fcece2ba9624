/**
 * A table of ordinary DHCP clients, state by state (RFC 2131 figure 5): each binds, and stays bound. The options are the
 * bytes that a client of that name sends beside the message type and options 50 and 54; the rest of a message follows from
 * the state and from what differs between clients: when the xid changes, the broadcast flag, the source in REBINDING.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ADDRESS,
  address,
  arp,
  arpProbe,
  arpReply,
  Bench,
  Client,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  HOUR,
  hex,
  join,
  MINUTE,
  mac,
  NOBODY,
  SECOND,
  Server,
  udp,
  VM,
  word,
} from "./support.ts";

interface Row {
  readonly name: string;
  /** Options beside 53, 50 and 54. `MAC` stands for the VM's MAC address. */
  readonly options: string;
  /** Whether each message has an xid of its own, or each exchange. */
  readonly xid: "message" | "exchange";
  readonly broadcast?: boolean;
  /** Its IPv4 source in REBINDING. */
  readonly rebindsFrom: "0.0.0.0" | "own";
  /** Asks for its former address when it starts (INIT-REBOOT). */
  readonly reboots: boolean;
  /** Probes for what it got (RFC 5227). */
  readonly probes?: boolean;
}

const DUID = "3d13 ff a1b2c3d4 0002 0000ab11 0123456789abcdef";
const MAC_IDENTIFIER = "3d07 01 MAC";

const CLIENTS: readonly Row[] = [
  { name: "lwIP 1.4", options: "3902 0240  3704 0103 1c06", xid: "message", rebindsFrom: "own", reboots: false },
  {
    name: "smoltcp 0.12",
    options: `${MAC_IDENTIFIER}  3902 05c0  3703 010306`,
    xid: "message",
    rebindsFrom: "own",
    reboots: false,
  },
  { name: "Zephyr 3.7", options: "3703 010306  0c06 7a6570687972", xid: "message", rebindsFrom: "own", reboots: false },
  {
    name: "systemd-networkd 257",
    options: `${DUID}  370a 0103060c0f1a21 2a7779  3902 05c0  0c06 64656269616e`,
    xid: "exchange",
    rebindsFrom: "0.0.0.0",
    reboots: true,
  },
  {
    name: "NetworkManager 1.52 (internal)",
    options: `${MAC_IDENTIFIER}  3711 0102060c0f1a1c79032128292a77f9fc11  3902 ffff  0c06 64656269616e`,
    xid: "exchange",
    rebindsFrom: "0.0.0.0",
    reboots: true,
    probes: true,
  },
  {
    name: "ConnMan 1.42",
    options: `${DUID}  3708 0103060c0f2a77fc`,
    xid: "exchange",
    broadcast: true,
    rebindsFrom: "0.0.0.0",
    reboots: true,
  },
  {
    name: "dhcpcd 10",
    options: `${DUID}  5000  3902 05c0  3c0b 6468637063642d31302e31  9101 01  370c 0179210306 0c0f1a1c333638`,
    xid: "exchange",
    rebindsFrom: "own",
    reboots: true,
    probes: true,
  },
  {
    name: "dhclient 4.4",
    options: "0c06 64656269616e  370d 011c02030f06770c2c2f1a792a",
    xid: "exchange",
    rebindsFrom: "own",
    reboots: true,
  },
  {
    name: "udhcpc 1.37",
    options: `${MAC_IDENTIFIER}  3902 0240  3707 0103060c0f1c2a  3c0c 756468637020312e33372e30`,
    xid: "exchange",
    rebindsFrom: "own",
    reboots: false,
  },
  {
    name: "Windows 11",
    options: `${MAC_IDENTIFIER}  0c09 4445534b544f502d31  3c08 4d53465420352e30  370e 0103060f1f212b2c2e2f7779f9fc`,
    xid: "exchange",
    broadcast: true,
    rebindsFrom: "own",
    reboots: true,
    probes: true,
  },
  {
    name: "macOS 15",
    options: `370c 017903060f6c7277fc5f2c2e  3902 05dc  ${MAC_IDENTIFIER}  3304 0076a700  0c03 6d6163`,
    xid: "exchange",
    rebindsFrom: "own",
    reboots: true,
    probes: true,
  },
  {
    name: "Android 15",
    options: `${MAC_IDENTIFIER}  3902 05dc  3c0f 616e64726f69642d646863702d3135  370b 0103060f1a1c333a3b2b72`,
    xid: "exchange",
    rebindsFrom: "own",
    reboots: true,
  },
];

const LEASE = 120;
const server = new Server({ lease: LEASE });

/** One client of a row, in front of a guard. */
class Guest {
  readonly bench = new Bench();
  readonly #row: Row;
  #xid = 0x5a000000;

  constructor(row: Row) {
    this.#row = row;
  }

  /** The server's answers go to the xid of the last message. */
  get #asked(): Client {
    return new Client({ xid: this.#xid });
  }

  #send(type: number, more: string, source = NOBODY, ciaddr = NOBODY, destination = EVERYONE, begins = true): void {
    if (begins || this.#row.xid === "message") this.#xid++;
    const flags = this.#row.broadcast && ciaddr === NOBODY ? "8000" : "0000";
    const options = `3501 ${type.toString(16).padStart(2, "0")} ${more} ${this.#row.options} ff`;
    const message = join(
      hex("01010600"),
      word(this.#xid),
      hex(`0000 ${flags}`),
      address(ciaddr),
      new Uint8Array(12),
      mac(VM),
      new Uint8Array(10 + 64 + 128),
      hex(`63825363 ${options.replace("MAC", VM.replaceAll(":", ""))}`),
    );
    const to = destination === EVERYONE ? EVERYONE_MAC : GATEWAY_MAC;
    this.bench.passesOut(udp(68, 67, { source, destination, to }, message));
  }

  #acknowledged(): void {
    const everyone = this.#row.broadcast ? { destination: EVERYONE, to: EVERYONE_MAC } : {};
    this.bench.passesIn(server.ack(this.#asked, ADDRESS, everyone));
    if (this.#row.probes) this.bench.passesOut(arpProbe(ADDRESS), arpProbe(ADDRESS), arp({ target: ADDRESS }));
  }

  /** INIT and SELECTING. */
  init(): void {
    const everyone = this.#row.broadcast ? { destination: EVERYONE, to: EVERYONE_MAC } : {};
    this.#send(1, "");
    this.bench.passesIn(server.offer(this.#asked, ADDRESS, everyone));
    this.#send(3, "3204 c0a84005 3604 c0a84001", NOBODY, NOBODY, EVERYONE, false);
    this.#acknowledged();
  }

  reboot(): void {
    this.#send(3, "3204 c0a84005");
    this.#acknowledged();
  }

  renew(): void {
    this.#send(3, "", ADDRESS, ADDRESS, GATEWAY);
  }

  rebind(): void {
    this.#send(3, "", this.#row.rebindsFrom === "own" ? ADDRESS : NOBODY, ADDRESS);
  }

  acknowledged(): void {
    this.bench.passesIn(server.ack(this.#asked, ADDRESS));
  }

  refused(): void {
    this.bench.passesIn(server.nak(this.#asked));
  }
}

function eachClient(state: string, play: (guest: Guest, row: Row) => void, rows: readonly Row[] = CLIENTS): void {
  for (const row of rows) {
    test(`${row.name}: ${state}`, () => {
      const guest = new Guest(row);
      play(guest, row);
      guest.bench.assertOnline();
    });
  }
}

eachClient("G1 INIT and SELECTING", (guest) => guest.init());

eachClient(
  "INIT-REBOOT",
  (guest) => guest.reboot(),
  CLIENTS.filter(({ reboots }) => reboots),
);

eachClient("G4 RENEWING for an hour, and the address lasts", (guest) => {
  guest.init();
  for (let renewal = 0; renewal < 60; renewal++) {
    guest.bench.wait(MINUTE);
    guest.renew();
    guest.acknowledged();
  }
  assert.equal(guest.bench.changes.length, 61);
});

eachClient("G2 REBINDING after three renewals that nobody answered", (guest) => {
  guest.init();
  for (const pause of [60, 22, 11]) {
    guest.bench.wait(pause * SECOND);
    guest.renew();
  }
  guest.bench.wait(15 * SECOND);
  guest.rebind();
  guest.acknowledged();
  guest.bench.wait((LEASE - 1) * SECOND);
});

eachClient("G3 RENEWING after the lease ended in a pause, with the ARP that it needs", (guest) => {
  guest.init();
  guest.bench.wait(8 * HOUR);
  guest.bench.assertOffline();
  guest.bench.passesOut(arp());
  guest.bench.passesIn(arpReply(GATEWAY, GATEWAY_MAC));
  guest.renew();
  guest.bench.passesIn(arp({ sender: GATEWAY, target: ADDRESS, from: GATEWAY_MAC }));
  guest.bench.passesOut(arp({ operation: 2, target: GATEWAY, to: GATEWAY_MAC, targetMac: GATEWAY_MAC }));
  guest.bench.assertOffline();
  guest.acknowledged();
});

eachClient("G3 REBINDING after the lease ended, and after a softnet that knows nothing", (guest, row) => {
  guest.init();
  guest.bench.wait(8 * HOUR);
  guest.rebind();
  guest.bench.assertOffline();
  guest.acknowledged();
  guest.bench.assertOnline();
  const restarted = new Guest(row);
  restarted.rebind();
  restarted.bench.assertOffline();
  restarted.acknowledged();
  restarted.bench.assertOnline();
});

eachClient("a NAK to its renewal after the pause, and it starts anew", (guest) => {
  guest.init();
  guest.bench.wait(8 * HOUR);
  guest.renew();
  guest.refused();
  guest.bench.assertOffline();
  guest.init();
});

eachClient(
  "a NAK to INIT-REBOOT, and it starts anew",
  (guest) => {
    guest.bench.passesOut(new Client({ xid: 0x5a000000 }).reboot("192.168.64.77"));
    guest.refused();
    guest.init();
  },
  CLIENTS.filter(({ reboots }) => reboots),
);

eachClient("its lease ran out while nobody answered, and it starts anew", (guest) => {
  guest.init();
  guest.bench.wait(MINUTE);
  guest.renew();
  guest.bench.wait(50 * SECOND);
  guest.rebind();
  guest.bench.wait(MINUTE);
  guest.bench.assertOffline();
  guest.init();
});

test("every row says what its options are, byte by byte", () => {
  for (const { name, options } of CLIENTS) {
    const all = hex(options.replace("MAC", VM.replaceAll(":", "")));
    let at = 0;
    while (at < all.length) at += 2 + all[at + 1]!;
    assert.equal(at, all.length, name);
  }
});
