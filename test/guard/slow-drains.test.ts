/**
 * Addresses that one VM can cost a network in a day (finding G16, threat rows D2, D4, D6): a server as ordinary ones are,
 * behind the guard and what gives left leases back, with a simulated clock. The VM does its worst: in ten minutes four new
 * client identifiers, each with a lease that it never gives back, and DECLINEs of what it is offered.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LeftLeases } from "../../src/commands/left-leases.ts";
import { formatIPv4, parseMac } from "../../src/wire/address.ts";
import { Bench, bytes, Client, HOUR, MINUTE, Server, VM } from "./support.ts";

const DAY = 24 * HOUR;
/** How long a server keeps a declined address out of its pool: Kea's choice, the longest of the five. */
const PROBATION = DAY;
const CIADDR = 14 + 20 + 8 + 12;

/** A server's pool: who has which address, and until when. */
class Pool {
  readonly #taken = new Map<string, { holder: string; until: number }>();
  readonly #size: number;
  readonly #lease: number;

  constructor(size: number, lease: number) {
    this.#size = size;
    this.#lease = lease;
  }

  /** The address of a client, or the first free one; absent where none is left. */
  offer(holder: string, now: number): string | undefined {
    let free: string | undefined;
    for (let number = 1; number <= this.#size; number++) {
      const address = `192.168.64.${number + 1}`;
      const lease = this.#taken.get(address);
      if (lease?.holder === holder && lease.until > now) return address;
      if (free === undefined && (lease === undefined || lease.until <= now)) free = address;
    }
    return free;
  }

  lease(address: string, holder: string, now: number): void {
    this.#taken.set(address, { holder, until: now + this.#lease });
  }

  decline(address: string, now: number): void {
    this.#taken.set(address, { holder: "nobody", until: now + PROBATION });
  }

  release(address: string): void {
    this.#taken.delete(address);
  }

  /** Addresses that nobody else can have. */
  lost(now: number): number {
    return [...this.#taken.values()].filter(({ until }) => until > now).length;
  }
}

/** The network after a day with such a VM. */
function dayOf(size: number, lease: number) {
  const leases = new LeftLeases(parseMac(VM)!);
  const bench = new Bench({ onBinding: (change) => leases.follow(change) });
  const pool = new Pool(size, lease);
  const server = new Server({ lease: lease / 1_000_000 });
  const out = new Uint8Array(700);
  const end = bench.now + DAY;
  const seen = { most: 0, leases: 0, declines: 0, full: 0 };

  const passes = (frame: Uint8Array) => bench.out(frame) === "pass";
  const giveBack = () => {
    for (let length = leases.take(out, 0); length > 0; length = leases.take(out, 0)) {
      pool.release(formatIPv4(new DataView(out.buffer).getUint32(CIADDR)));
    }
  };

  for (let round = 0; bench.now < end; round++) {
    const holder = String(round);
    const client = new Client({ xid: round + 1, identifier: bytes(0, round >>> 8, round & 255) });
    if (passes(client.discover())) {
      const address = pool.offer(holder, bench.now);
      if (address === undefined) seen.full++;
      else if (bench.in(server.offer(client, address)) === "pass") {
        if (passes(client.select(address, server.identifier))) {
          pool.lease(address, holder, bench.now);
          seen.leases++;
          bench.in(server.ack(client, address));
          giveBack();
        }
        // Every second lease is declined right away, as far as it goes.
        if (round % 2 === 1 && passes(client.decline(address, server.identifier))) {
          pool.decline(address, bench.now);
          seen.declines++;
        }
      }
    }
    giveBack();
    seen.most = Math.max(seen.most, pool.lost(bench.now));
    // Four identifiers have a place; a further one takes that of the one used ten minutes ago.
    bench.wait(2.5 * MINUTE);
  }
  return { ...seen, lost: pool.lost(bench.now) };
}

for (const [size, what] of [
  [253, "a /24"],
  [10, "ten addresses"],
] as const) {
  for (const hours of [12, 24]) {
    test(`G16 D2 D4 a pool of ${what} with leases of ${hours} h outlives a day of one VM's worst`, (t) => {
      const day = dayOf(size, hours * HOUR);
      t.diagnostic(`${what}, leases of ${hours} h: ${JSON.stringify(day)}`);
      assert.ok(day.leases > 400, "the VM was to be busy");
      assert.equal(day.declines, 8);
      assert.equal(day.full, 0, "the pool was empty");
      // Eight declined addresses, and the VM's own.
      assert.ok(day.most <= 9, `${day.most} addresses lost`);
    });
  }
}
