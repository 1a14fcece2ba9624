/**
 * Addresses that one VM can cost a network in a day (finding G16, threat rows D2, D4, D6): a server as ordinary ones are,
 * behind the guard and what gives left leases back, with a simulated clock.
 */
import { LeftLeases } from "../../src/commands/left-leases.ts";
import { formatIPv4, parseMac } from "../../src/wire/address.ts";
import { Bench, bytes, Client, HOUR, MINUTE, SECOND, Server, VM } from "./support.ts";

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

/** What a VM does with one new client identifier; `mayDecline` says whether it would. */
export type Strategy = (vm: Vm, mayDecline: boolean) => void;

/** Takes a lease, keeps it, and declines it now and then. */
export const takes: Strategy = (vm, mayDecline) => {
  const address = vm.discover();
  if (address === undefined) return;
  vm.select(address);
  vm.acknowledge(address);
  if (mayDecline) vm.decline(address);
};

/** Declines an offer while it has another address, which ends that binding too. */
export const declinesOffers: Strategy = (vm, mayDecline) => {
  const address = vm.discover();
  if (address === undefined) return;
  if (mayDecline && vm.decline(address)) return;
  vm.select(address);
  vm.acknowledge(address);
};

/** Takes a lease, and makes its transaction another one before the ACK is there, which then drops. */
export const leavesAcknowledgements: Strategy = (vm) => {
  const address = vm.discover();
  if (address === undefined) return;
  vm.select(address);
  vm.changeItsMind();
  vm.acknowledge(address);
};

class Vm {
  readonly #leases = new LeftLeases(parseMac(VM)!);
  readonly #bench = new Bench({ onBinding: (change) => this.#leases.follow(change) });
  readonly #pool: Pool;
  readonly #server: Server;
  readonly #out = new Uint8Array(700);
  #client = new Client();
  #holder = "";
  readonly day = { most: 0, leases: 0, declines: 0, full: 0, lost: 0 };

  constructor(pool: Pool, lease: number) {
    this.#pool = pool;
    this.#server = new Server({ lease: lease / SECOND });
  }

  get now(): number {
    return this.#bench.now;
  }

  /** Goes on as a client with another identifier. */
  become(number: number): void {
    this.#holder = String(number);
    this.#client = new Client({ xid: number + 1, identifier: bytes(0, number >>> 8, number & 255) });
  }

  discover(): string | undefined {
    if (this.#bench.out(this.#client.discover()) !== "pass") return undefined;
    const address = this.#pool.offer(this.#holder, this.now);
    if (address === undefined) this.day.full++;
    else if (this.#bench.in(this.#server.offer(this.#client, address)) === "pass") return address;
    return undefined;
  }

  select(address: string): void {
    if (this.#bench.out(this.#client.select(address, this.#server.identifier)) !== "pass") return;
    this.#pool.lease(address, this.#holder, this.now);
    this.day.leases++;
  }

  changeItsMind(): void {
    this.#bench.out(this.#client.discover());
  }

  acknowledge(address: string): void {
    this.#bench.in(this.#server.ack(this.#client, address));
    this.#giveBack();
  }

  decline(address: string): boolean {
    if (this.#bench.out(this.#client.decline(address, this.#server.identifier)) !== "pass") return false;
    this.#pool.decline(address, this.now);
    this.day.declines++;
    this.#giveBack();
    return true;
  }

  /** Four identifiers have a place; a further one takes that of the one used ten minutes ago. */
  wait(): void {
    this.day.lost = this.#pool.lost(this.now);
    this.day.most = Math.max(this.day.most, this.day.lost);
    this.#bench.wait(2.5 * MINUTE);
  }

  #giveBack(): void {
    for (let length = this.#leases.take(this.#out, 0); length > 0; length = this.#leases.take(this.#out, 0)) {
      this.#pool.release(formatIPv4(new DataView(this.#out.buffer).getUint32(CIADDR)));
    }
  }
}

/** A day of a network with a pool of this size and leases of this time, and one VM that does this all the time. */
export function dayOf(strategy: Strategy, size: number, lease: number): Vm["day"] {
  const vm = new Vm(new Pool(size, lease), lease);
  const end = vm.now + DAY;
  for (let round = 0; vm.now < end; round++) {
    vm.become(round);
    strategy(vm, round % 2 === 1);
    vm.wait();
  }
  return vm.day;
}
