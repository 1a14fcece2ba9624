/**
 * The helper of a host: one process for all softnets whose VMs have a network of their own (`nat`, `host`). It holds what
 * must still act once a softnet has dropped its privileges or has ended, and nothing else:
 *
 *   softnet ──┐                  ┌── the table with every VM's rules (table.ts)
 *   softnet ──┼── unix socket ── helper ── forwarding of single interfaces (ip-forwarding.ts), IPv6 (host-ipv6.ts)
 *   softnet ──┘                  └── the connections that a VM leaves behind (conntrack), its subnet
 *
 * It is nobody's process with CAP_NET_ADMIN alone, and takes connections from root only; what comes through them later,
 * from softnets that are root's no more, is checked (messages.ts). A VM's network lasts as long as its connection. When
 * that ends, however the softnet ended, the helper waits until the TAP is gone, and then takes the VM out of the table: so
 * no frame passes without its rules. With the last VM it puts back what it changed on the host, and ends.
 *
 * Each softnet holds a copy of the socket that owns the table. So the rules stand while any softnet runs, also when the
 * helper is killed; then a new softnet starts a new helper with a table of its own.
 */
import { setImmediate as immediate } from "node:timers/promises";
import type { LinuxLibc } from "../native/linux/libc.ts";
import type { Nftables } from "../native/linux/libnftables.ts";
import { changeLinks } from "../native/linux/link-changes.ts";
import { NO_REACH6 } from "../policy/reachable6.ts";
import { type Cidr, covers, formatCidr } from "../policy/rule.ts";
import type { ByteStream } from "../ports/byte-stream.ts";
import { formatIPv4 } from "../wire/address.ts";
import { AttachedInterface } from "./attached.ts";
import { chooseSubnet } from "./choose.ts";
import { ClientConnection } from "./client-connection.ts";
import { type Firewalls, findBlocks, routedPath } from "./firewalls/firewalls.ts";
import { FirewallWatch } from "./firewalls/watch.ts";
import { HostIPv6, type HostIPv6Tools, uplink6Of } from "./host-ipv6.ts";
import { listHost, readHostState, stateOf, uplinkOf } from "./host-state.ts";
import { IpForwarding, type IpForwardingRecord } from "./ip-forwarding.ts";
import { makeTable } from "./make-table.ts";
import {
  type AddressRequest,
  type AttachedRequest,
  type AttachRequest,
  type ChangeRequest,
  MOST_CONNECTIONS,
  type OpenRequest,
  type Reply,
  type Request,
  type ReserveRequest,
} from "./messages.ts";
import { formatPrefix, prefixOf } from "./prefix.ts";
import { portsInUse } from "./services.ts";
import { overlapOf, SUBNET_LENGTH } from "./subnet.ts";
import { addVm, changeVm, removeVm, setServices } from "./table.ts";
import type { Changing, Vm } from "./vm.ts";

export interface HelperOptions {
  readonly libc: LinuxLibc;
  readonly nft: Nftables;
  /** What an earlier helper left of forwarding. */
  readonly readRecord: () => IpForwardingRecord | undefined;
  readonly isBridge: (link: string) => boolean;
  /** The registry's folder. */
  readonly directory: string;
  /** What other firewalls have set up. */
  readonly readFirewalls: () => Promise<Firewalls>;
  /** Deletes the connections of an address, at most `most` of them. Returns how many there were of these. */
  readonly deleteConnections: (address: number, most: number) => number;
  /** The same for IPv6, and for all addresses of a prefix. */
  readonly ipv6: Omit<HostIPv6Tools, "libc" | "nft" | "isBridge" | "say" | "onChange"> & {
    readonly deleteConnections: (prefix: bigint, most: number) => number;
  };
  /** Called when there is nothing more to do. */
  readonly onIdle: () => void;
}

/** Milliseconds between two looks whether a TAP is gone: at first, and once it has been there for that many looks. */
const TAP_INTERVAL = 10;
const SLOW_TAP_INTERVAL = 1000;
const TAP_LOOKS = 1000;
/** Milliseconds in which several changes of the host are looked at as one. */
const HOST_INTERVAL = 500;
/** Connections that are deleted at once. */
const SLICE = 4096;
/** How often at the most, for one address: four times the most that a VM can have, with those of its clients. */
const MOST_SLICES = (4 * 2 * MOST_CONNECTIONS) / SLICE;

/** One softnet. */
interface Member {
  readonly connection: ClientConnection;
  subnet: Cidr | undefined;
  vm: Vm | undefined;
  /** The number of its TAP: another one may get the name as soon as it is gone. 0 before. */
  tapIndex: number;
  /** Whether there is, or was, a VM. */
  opened: boolean;
  /** Its softnet's connection has ended. */
  ended: boolean;
  /** The VM is out, and its connections are being deleted. */
  deleting: boolean;
  /** The first address of its /64; undefined without IPv6. */
  prefix: bigint | undefined;
  attached: AttachedInterface | undefined;
  changing: Changing;
  /** What is wrong at present: networks that overlap, firewalls that drop. */
  overlaps: readonly string[];
  /** Undefined before the first look at firewalls: until then what softnet itself has found stands. */
  blocks: readonly string[] | undefined;
  /** Whether one of these takes IPv6 from the VM; undefined before the first look. */
  closed6: boolean | undefined;
}

const UNCHANGED: Changing = { reach: { allowed: [], answerable: [], closed: [], dns: [] } };

export class Helper {
  readonly #options: HelperOptions;
  readonly #members = new Set<Member>();
  readonly #forwarding: IpForwarding;
  readonly #ipv6: HostIPv6;
  #look: NodeJS.Timeout | undefined;
  readonly #firewalls = new FirewallWatch(() => this.#lookAtFirewalls());
  #served = false;
  /**
   * The table's name; undefined until the first VM needs it, because with it the host follows the connections of all that it
   * forwards, which costs each packet.
   */
  #table: string | undefined;

  constructor(options: HelperOptions) {
    this.#options = options;
    const { readRecord, isBridge } = options;
    const nft = (commands: readonly string[]): string | undefined => options.nft.run(commands);
    const say = (message: string): void => this.#sayToAll(message);
    this.#forwarding = new IpForwarding({ nft, readRecord, isBridge, say });
    const onChange = (): void => this.hostChanged();
    this.#ipv6 = new HostIPv6({ ...options.ipv6, libc: options.libc, nft, isBridge, say, onChange });
  }

  /** How many softnets it serves, with those that have ended and left something behind. */
  get members(): number {
    return this.#members.size;
  }

  /** Serves a softnet. */
  add(stream: ByteStream): void {
    this.#served = true;
    const connection: ClientConnection = new ClientConnection({
      stream,
      serve: (request) => this.#serve(member, request),
      onEnd: () => this.#remove(member),
    });
    const member: Member = {
      connection,
      subnet: undefined,
      vm: undefined,
      tapIndex: 0,
      opened: false,
      ended: false,
      deleting: false,
      prefix: undefined,
      attached: undefined,
      changing: UNCHANGED,
      overlaps: [],
      blocks: undefined,
      closed6: undefined,
    };
    this.#members.add(member);
  }

  /** Addresses, links, routes or settings of the host changed. */
  hostChanged(): void {
    this.#look ??= setTimeout(() => {
      this.#look = undefined;
      this.#lookAtHost();
      this.firewallsChanged(); // another uplink may be another zone
    }, HOST_INTERVAL);
  }

  /** A firewall's rules changed, but for softnet's own. */
  firewallsChanged(): void {
    if ([...this.#members].some(isRouted)) this.#firewalls.changed();
  }

  /** Another program removed the table of a forwarding's record. */
  recordRemoved(): void {
    this.#forwarding.recordLost();
    this.#ipv6.recordLost();
  }

  #serve(member: Member, request: Request): Omit<Reply, "kind"> {
    if (request.kind === "reserve") return this.#reserve(member, request);
    if (request.kind === "open") return this.#openVm(member, request);
    if (request.kind === "change" || request.kind === "address6") return this.#change(member, request);
    return this.#serveAttached(member, request);
  }

  #change(member: Member, request: ChangeRequest | AddressRequest): Omit<Reply, "kind"> {
    const { vm, prefix, changing } = member;
    if (vm === undefined || this.#table === undefined) throw new Error("there is no VM whose reach could change");
    let after: Changing;
    if (request.kind === "change") {
      const { reach, reach6 = changing.reach6 } = request;
      after = { ...changing, reach, reach6 };
    } else {
      const { address } = request;
      if (address !== undefined && prefixOf(address) !== prefix) throw new Error("the VM has no such address");
      after = { ...changing, address6: address };
    }
    this.#run(changeVm(this.#table, vm, changing, after));
    member.changing = after;
    return {};
  }

  #serveAttached(member: Member, request: AttachRequest | AttachedRequest): Omit<Reply, "kind"> {
    if (request.kind === "attach") {
      if (member.attached !== undefined) throw new Error("a softnet is attached to one interface");
      if (member.subnet !== undefined) throw new Error("this connection is for a network of its own");
      member.attached = new AttachedInterface(this.#options, request);
    } else {
      member.attached?.serve(request.kind);
    }
    return {};
  }

  #reserve(member: Member, request: ReserveRequest): Omit<Reply, "kind"> {
    if (member.subnet !== undefined) throw new Error("a VM has one subnet");
    // It is root's no more by then, and may expose no port.
    if (member.attached !== undefined) throw new Error("this connection is for an attached interface");
    const taken = new Set([...this.#members].map(({ subnet }) => subnet?.address));
    const state = readHostState(this.#options.libc);
    const { subnet, inside } = chooseSubnet(state, request, ({ address }) => taken.has(address));
    member.subnet = subnet;
    if (request.ipv6) {
      const prefixes = [...this.#members].flatMap(({ prefix }) => prefix ?? []);
      member.prefix = this.#ipv6.choosePrefix(prefixes, request.preferred6);
    }
    return {
      subnet: formatCidr(subnet),
      ...(inside !== undefined && { inside: formatCidr(inside) }),
      ...(member.prefix !== undefined && { prefix6: formatPrefix(member.prefix) }),
    };
  }

  #openVm(member: Member, request: OpenRequest): Omit<Reply, "kind"> {
    const { tap, nat, exposures, connections, reach, reach6 } = request;
    const { subnet, prefix } = member;
    if (subnet === undefined || member.opened) throw new Error("a VM is opened once, behind its subnet");
    const namesake = [...this.#members].find((one) => one.vm?.tap === tap);
    if (namesake !== undefined) {
      if (this.#hasTap(namesake)) throw new Error(`${tap} is another VM's TAP`);
      this.#takeOut(namesake);
    }
    const others = [...this.#members].flatMap(({ vm }) => vm ?? []);
    const external = new Set(others.flatMap((vm) => vm.exposures.map(([port]) => port)));
    const twice = exposures.find(([port]) => external.has(port));
    if (twice !== undefined) throw new Error(`port ${twice[0]} is exposed by another softnet`);
    const place = { address: subnet.address + 2, gateway: subnet.address + 1, ...(prefix !== undefined && { prefix }) };
    const vm: Vm = { tap, nat, exposures, connections, ...place };
    const changing: Changing = { reach, ...(prefix !== undefined && { reach6: reach6 ?? NO_REACH6 }) };
    this.#table ??= makeTable(this.#options.nft);
    this.#run([...addVm(this.#table, vm, changing), ...setServices(this.#table, portsInUse())]);
    member.vm = vm;
    member.tapIndex = this.#options.libc.if_nametoindex(tap);
    member.opened = true;
    member.changing = changing;
    if (nat) this.#forwarding.open(tap);
    if (prefix !== undefined) {
      this.#ipv6.open(tap, prefix, nat);
      this.#sendRoute(member);
    }
    this.firewallsChanged();
    return {};
  }

  #sendRoute({ connection, closed6 }: Member): void {
    connection.sendRoute({ present: this.#ipv6.hasRoute, ...(closed6 !== undefined && { closed: closed6 }) });
  }

  #run(commands: readonly string[]): void {
    const error = this.#options.nft.run(commands);
    if (error !== undefined) throw new Error(`nft refuses the VM's rules: ${error}`);
  }

  #remove(member: Member): void {
    member.ended = true;
    let looks = 0;
    const look = (): void => {
      if (this.#hasTap(member)) {
        setTimeout(look, looks++ < TAP_LOOKS ? TAP_INTERVAL : SLOW_TAP_INTERVAL);
        return;
      }
      this.#takeOut(member);
      this.#forget(member);
    };
    look();
  }

  #hasTap({ vm, tapIndex }: Member): boolean {
    return vm !== undefined && tapIndex !== 0 && this.#options.libc.if_nametoindex(vm.tap) === tapIndex;
  }

  /** Its TAP is gone: nothing of the VM's can pass any more. */
  #takeOut(member: Member): void {
    const { nft } = this.#options;
    const { vm } = member;
    if (vm === undefined) return;
    const commands = removeVm(this.#table!, vm, member.changing);
    // All or nothing; and if one thing stands in the way, everything else goes all the same.
    if (nft.run(commands) !== undefined) for (const command of commands) nft.run([command]);
    for (const forwarding of [this.#forwarding, this.#ipv6]) {
      try {
        forwarding.close(vm.tap);
      } catch (error) {
        // An interface that is just going away, for example: that the VM is out must not depend on it.
        this.#sayToAll(`the host cannot be kept as it should be: ${(error as Error).message}`);
      }
    }
    member.vm = undefined;
    member.deleting = true;
    const { deleteConnections, ipv6 } = this.#options;
    const { address, prefix } = vm;
    this.#deleteConnections(member, [
      () => deleteConnections(address, SLICE),
      ...(prefix === undefined ? [] : [() => ipv6.deleteConnections(prefix, SLICE)]),
    ]);
  }

  /** Each of `slices` deletes some, and returns SLICE where more may be left. Others have their turn in between. */
  #deleteConnections(member: Member, slices: readonly (() => number)[], turn = 1): void {
    const [slice, ...rest] = slices;
    if (slice === undefined) {
      member.deleting = false;
      this.#forget(member);
      return;
    }
    let isFull = false;
    try {
      isFull = slice() === SLICE;
    } catch {
      // They end by themselves, at the kernel's own times.
    }
    if (isFull && turn < MOST_SLICES) setImmediate(() => this.#deleteConnections(member, slices, turn + 1));
    else this.#deleteConnections(member, rest);
  }

  #sayToAll(message: string): void {
    for (const { connection } of this.#members) connection.sendEvent(message);
  }

  /** Once nothing of it is left: until then its subnet is nobody else's. */
  #forget(member: Member): void {
    if (!member.ended || member.deleting || !this.#members.delete(member)) return;
    if (this.#members.size > 0 || !this.#served) return;
    clearTimeout(this.#look);
    this.#firewalls.close();
    this.#look = undefined;
    setImmediate(() => {
      if (this.#members.size === 0) this.#options.onIdle();
    });
  }

  #lookAtHost(): void {
    for (const look of [() => this.#forwarding.refresh(), () => this.#lookAtAddresses(), () => this.#lookAtIPv6()]) {
      try {
        look();
      } catch (error) {
        this.#sayToAll(`the host cannot be kept as it should be: ${(error as Error).message}`);
      }
    }
  }

  #lookAtIPv6(): void {
    this.#ipv6.refresh();
    for (const member of this.#members) {
      const { connection, vm } = member;
      if (vm?.prefix === undefined) continue;
      if (this.#ipv6.restoreAddresses(vm.tap)) {
        connection.sendEvent(`IPv6 addresses of ${vm.tap} were gone: they are there again`);
      }
      this.#sendRoute(member);
    }
  }

  /** Gives a TAP its address again; false where that is not possible. */
  #addAddress(tap: string, address: number): boolean {
    const { libc } = this.#options;
    try {
      changeLinks(libc, (links) => links.addAddress(libc.if_nametoindex(tap), address, SUBNET_LENGTH));
      return true;
    } catch {
      return false;
    }
  }

  /** The TAPs keep their address, and no other network of the host comes to lie over a VM's unnoticed. */
  #lookAtAddresses(): void {
    const { libc } = this.#options;
    const members = [...this.#members].filter(({ vm }) => vm !== undefined && libc.if_nametoindex(vm.tap) !== 0);
    if (members.length === 0) return;
    const taps = new Set(members.map(({ vm }) => vm!.tap));
    const listing = listHost(libc);
    const own = stateOf(listing, (link) => !taps.has(link));
    const others = stateOf(listing, (link) => taps.has(link));
    for (const member of members) {
      const { connection, vm, subnet } = member;
      const { tap, gateway } = vm!;
      if (!own.networks.some((network) => covers(network, gateway))) {
        if (this.#addAddress(tap, gateway))
          connection.sendEvent(`the address ${formatIPv4(gateway)} of ${tap} was gone: it is there again`);
      }
      const overlap = overlapOf(subnet!, others);
      member.overlaps =
        overlap === undefined
          ? []
          : [
              `${formatCidr(overlap)} of this host overlaps the VM's network ${formatCidr(subnet!)}: what is there cannot be reached, or the VM cannot; start softnet again for another subnet`,
            ];
      sendNotices(member);
    }
  }

  /** Where the rules cannot be read, what was said before stands. */
  async #lookAtFirewalls(): Promise<void> {
    try {
      const firewalls = await this.#options.readFirewalls();
      const { libc } = this.#options;
      const uplinks = { ipv4: uplinkOf(libc), ipv6: uplink6Of(libc) };
      for (const member of this.#members) {
        if (!isRouted(member)) continue;
        const { tap, address, exposures, prefix } = member.vm!;
        const vm = { address, prefix, exposed: exposures.length > 0 };
        const blocks = findBlocks(firewalls, routedPath(tap, vm, uplinks));
        member.blocks = blocks.map(({ text }) => text);
        sendNotices(member);
        if (prefix !== undefined) {
          member.closed6 = blocks.some(({ ipv6 }) => ipv6);
          this.#sendRoute(member);
        }
        await immediate(); // many rules times many VMs: others have their turn
      }
    } catch {
      for (const member of [...this.#members].filter(isRouted)) {
        member.blocks ??= []; // the next change brings the next look
        sendNotices(member);
      }
    }
  }
}

function isRouted({ vm }: Member): boolean {
  return vm?.nat === true;
}

function sendNotices(member: Member): void {
  const { connection, overlaps, blocks } = member;
  if (blocks !== undefined || !isRouted(member)) connection.sendNotices([...overlaps, ...(blocks ?? [])]);
}
