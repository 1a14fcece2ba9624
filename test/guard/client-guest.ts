/** A client of a row in front of a guard, and a server with its manner behind it (RFC 2131 figure 5). */
import type { ClientRow } from "./client-rows.ts";
import type { ServerManner } from "./server-manners.ts";
import {
  ADDRESS,
  address,
  arp,
  arpProbe,
  Bench,
  Client,
  type DhcpWords,
  dhcp,
  EVERYONE,
  EVERYONE_MAC,
  GATEWAY,
  GATEWAY_MAC,
  hex,
  join,
  mac,
  NAK,
  NOBODY,
  type Option,
  rawMessage,
  Server,
  udp,
  VM,
  word,
} from "./support.ts";

/** Seconds. */
export const LEASE = 120;

const DISCOVER = 1;
const REQUEST = 3;
const INFORM = 8;
const SERVER_NAME = "3604 c0a84001";

export interface Habits {
  /** Options instead of the row's. */
  readonly options?: string;
  /** More options in the server's ACK, hexadecimal. */
  readonly acknowledged?: string;
}

export class Guest {
  readonly bench: Bench;
  readonly row: ClientRow;
  readonly manner: ServerManner;
  readonly #options: string;
  readonly #acknowledged: readonly Option[];
  #xid: number;

  constructor(row: ClientRow, manner: ServerManner, habits: Habits = {}, bench = new Bench(), xid = 0x5a000000) {
    this.row = row;
    this.manner = manner;
    this.bench = bench;
    this.#options = habits.options ?? row.options;
    this.#acknowledged = optionsOf(`${manner.options}${habits.acknowledged ?? ""}`);
    this.#xid = xid;
  }

  /** The server's answers go to the xid of the last message. */
  get #asked(): Client {
    return new Client({ xid: this.#xid });
  }

  get #server(): Server {
    return new Server({ lease: LEASE });
  }

  /** Where this server sends what goes to a client without an address. */
  get #to(): Partial<DhcpWords> {
    const everyone = this.manner.broadcast === "always" || this.row.broadcast === true;
    const change = everyone ? { destination: EVERYONE, to: EVERYONE_MAC } : {};
    return { ...change, options: this.#acknowledged };
  }

  message(type: number, more: string, ciaddr = NOBODY, begins = true): Uint8Array {
    if (begins || this.row.xid === "message") this.#xid++;
    const flags = this.row.broadcast && ciaddr === NOBODY ? "8000" : "0000";
    const options = `3501 ${type.toString(16).padStart(2, "0")} ${more} ${this.#options} ff`;
    return join(
      hex("01010600"),
      word(this.#xid),
      hex(`0000 ${flags}`),
      address(ciaddr),
      new Uint8Array(12),
      mac(VM),
      new Uint8Array(10 + 64 + 128),
      hex(`63825363 ${options.replace("MAC", VM.replaceAll(":", ""))}`),
    );
  }

  send(message: Uint8Array, source = NOBODY, destination = EVERYONE): void {
    const to = destination === EVERYONE ? EVERYONE_MAC : GATEWAY_MAC;
    this.bench.passesOut(udp(68, 67, { source, destination, to }, message));
  }

  discover(more = ""): void {
    this.send(this.message(DISCOVER, more));
  }

  offered(own = ADDRESS): void {
    this.bench.passesIn(this.#server.offer(this.#asked, own, this.#to));
  }

  select(own = ADDRESS, ciaddr = NOBODY): void {
    this.send(this.message(REQUEST, `${option50(own)} ${SERVER_NAME}`, ciaddr, false));
  }

  /** The ACK to a client that had no address. */
  bound(own = ADDRESS, more: readonly Option[] = []): void {
    this.bench.passesIn(this.#server.ack(this.#asked, own, { ...this.#to, options: [...this.#acknowledged, ...more] }));
    if (this.row.probes) this.bench.passesOut(arpProbe(own), arpProbe(own), arp({ sender: own, target: own }));
  }

  /** INIT and SELECTING. */
  init(own = ADDRESS): void {
    this.discover();
    this.offered(own);
    this.select(own);
    this.bound(own);
  }

  /** Two messages instead of four (RFC 4039). */
  commit(): void {
    this.discover("5000");
    this.bound(ADDRESS, [[80, new Uint8Array(0)]]);
  }

  reboot(own = ADDRESS): void {
    this.send(this.message(REQUEST, option50(own)));
  }

  renew(): void {
    this.send(this.message(REQUEST, "", ADDRESS), ADDRESS, GATEWAY);
  }

  rebind(source: "0.0.0.0" | "own" = this.row.rebindsFrom): void {
    this.send(this.message(REQUEST, "", ADDRESS), source === "own" ? ADDRESS : NOBODY);
  }

  inform(): void {
    this.send(this.message(INFORM, "", ADDRESS), ADDRESS);
    this.bench.passesIn(this.#server.ackInform(this.#asked, ADDRESS));
  }

  /** The ACK to a client with an address. */
  acknowledged(): void {
    const change = this.manner.broadcast === "always" ? { destination: EVERYONE, to: EVERYONE_MAC } : {};
    this.bench.passesIn(this.#server.ack(this.#asked, ADDRESS, { ...change, options: this.#acknowledged }));
  }

  /** A NAK in the server's manner. */
  refusal(): Uint8Array {
    const words = { type: NAK, op: 2, xid: this.#xid, sourcePort: 67, destinationPort: 68 } as const;
    const options = hex(`3501 06 ${this.manner.nak.replace("SERVER", SERVER_NAME)} ff`);
    const frame = { ...words, source: GATEWAY, from: GATEWAY_MAC, destination: EVERYONE, to: EVERYONE_MAC };
    return dhcp(frame, rawMessage(words, options));
  }
}

function option50(own: string): string {
  return `3204 ${Buffer.from(address(own)).toString("hex")}`;
}

/** Options byte by byte, taken apart. */
export function optionsOf(text: string): Option[] {
  const all = hex(text);
  const options: Option[] = [];
  for (let at = 0; at < all.length; at += 2 + all[at + 1]!) {
    options.push([all[at]!, all.subarray(at + 2, at + 2 + all[at + 1]!)]);
  }
  return options;
}
