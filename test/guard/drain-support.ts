/**
 * Addresses that one VM can cost a network in a day (finding G16, threat rows D2, D4, D6): a server as ordinary ones are,
 * behind the guard and what gives left leases back, with a simulated clock.
 */
import { LeftLeases } from "../../src/session/left-leases.ts";
import { formatIPv4, parseMac } from "../../src/wire/address.ts";
import { Bench, bytes, Client, EVERYONE, HOUR, MINUTE, SECOND, Server, VM } from "./support.ts";

const DAY = 24 * HOUR;
/** How long a server keeps a declined address out of its pool: Kea's choice, the longest of the five. */
const PROBATION = DAY;
/** An address that nobody leases. */
const NOBODYS = "192.168.64.254";
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
  offer(holder: string, now: number, but?: string): string | undefined {
    let free: string | undefined;
    for (let number = 1; number <= this.#size; number++) {
      const address = `192.168.64.${number + 1}`;
      const lease = this.#taken.get(address);
      if (lease?.holder === holder && lease.until > now) return address;
      if (free === undefined && address !== but && (lease === undefined || lease.until <= now)) free = address;
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

/** Takes a lease, and sends something before the ACK is there, that it might drop. */
const beforeTheAck =
  (distract: (vm: Vm, address: string) => void): Strategy =>
  (vm) => {
    const address = vm.discover();
    if (address === undefined) return;
    vm.select(address);
    distract(vm, address);
    vm.acknowledge(address);
  };

/** What a VM may send before an ACK so that it drops; all but the last three under the REQUEST's own xid. */
export const DISTRACTIONS: Readonly<Record<string, Strategy>> = {
  "leaves ACKs for DISCOVER": beforeTheAck((vm) => vm.send((client) => client.discover())),
  "leaves ACKs for INIT-REBOOT": beforeTheAck((vm) => vm.send((client) => client.reboot(NOBODYS))),
  "leaves ACKs for REBINDING": beforeTheAck((vm) => vm.send((client) => client.rebind(NOBODYS))),
  "leaves ACKs for INFORM": beforeTheAck((vm) =>
    vm.send((client) => (vm.bound === undefined ? undefined : client.inform(vm.bound))),
  ),
  "leaves ACKs for a REBINDING that carries its options": beforeTheAck((vm, address) =>
    vm.send((client, server) => {
      if (vm.bound === undefined) return undefined;
      const change = { source: vm.bound, ciaddr: vm.bound, destination: EVERYONE };
      return client.select(address, server, change);
    }),
  ),
  "leaves ACKs for RELEASE": beforeTheAck((vm) => vm.release()),
  "leaves ACKs for DECLINE": beforeTheAck((vm, address) => vm.decline(address)),
  "leaves ACKs for SELECTING of another offer": (vm) => vm.selectsTwo(false),
  "leaves ACKs for SELECTING of another offer under another xid": (vm) => vm.selectsTwo(true),
  "leaves ACKs for SELECTING of the same under another xid, as another client": beforeTheAck((vm, address) =>
    vm.send((_, server) => vm.impostor.select(address, server)),
  ),
};

class Vm {
  readonly #leases = new LeftLeases(parseMac(VM)!);
  readonly #bench = new Bench({ onBinding: (change) => this.#leases.follow(change) });
  readonly #pool: Pool;
  readonly #server: Server;
  readonly #out = new Uint8Array(700);
  #client = new Client();
  #before = this.#client;
  #holder = "";
  #round = 0;
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
    this.#round = number;
    this.#before = this.#client;
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

  get bound(): string | undefined {
    return this.#bench.bound;
  }

  /** The same VM under another xid and another identifier. */
  get impostor(): Client {
    return new Client({ xid: this.#client.xid + 0x10000, identifier: bytes(9) });
  }

  send(make: (client: Client, server: string) => Uint8Array | undefined): void {
    const frame = make(this.#client, this.#server.identifier);
    if (frame !== undefined) this.#bench.out(frame);
  }

  release(): void {
    const own = this.bound;
    if (own === undefined) return;
    if (this.#bench.out(this.#before.release(own, this.#server.identifier)) === "pass") this.#pool.release(own);
  }

  /** Takes two offers of one transaction, of which the guard could know one at a time. */
  selectsTwo(anew: boolean): void {
    const address = this.discover();
    if (address === undefined) return;
    const other = this.#pool.offer("another", this.now, address);
    if (other === undefined) return;
    this.#bench.in(this.#server.offer(this.#client, other));
    this.select(address);
    const first = this.#client;
    if (anew)
      this.#client = new Client({ xid: first.xid + 0x10000, identifier: bytes(0, this.#round >>> 8, this.#round) });
    this.select(other);
    this.#bench.in(this.#server.ack(first, address));
    this.acknowledge(other);
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
