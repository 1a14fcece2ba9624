/**
 * IPv6 forwarding. The kernel asks one switch for all interfaces (ip-sysctl, `conf/all/forwarding`); that of an interface only
 * says whether the host is a router or a host there: whether it learns from router advertisements, and what it says of
 * itself. Kernels from 6.17 could forward interface by interface (`force_forwarding`); one way that works on all kernels is
 * less to go wrong.
 *
 * Turning the switch on does three things that nobody asked for, and each is prevented:
 *
 *   everybody may use the host as a router      a table of its own, made before (`RECORD`), drops what is not a VM's
 *   every interface becomes a router's, and so will those to come: the host learns no routes any more
 *                                               each interface that was a host's becomes one again, and `default` too
 *   learned default routes go                   only where `accept_ra` is not 2: for that moment it is
 *
 * The last of these happens whenever any interface becomes a router's, a VM's TAP too. A TAP must be one, or the kernel says
 * in neighbour advertisements that it is no router, and the VM takes its route away (RFC 4861 7.2.5).
 *
 * So the only thing that stays changed is the switch. The table belongs to nobody: should all softnets and the helper be
 * killed at once, it stays, keeps the host from being a router, and says to the next helper what to put back. Its set
 * `settled` comes last: where it is missing, the helper was killed in that moment, and the next one goes on.
 *
 * Who turns the switch on for himself while it is on turns `default` on as well, as the kernel does it: that is how another
 * program's wish is seen. Then the record is given up, nothing is dropped any more, and nothing is put back at the end.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const CONF = "/proc/sys/net/ipv6/conf";
export const RECORD6_NAME = "softnet_forwarding6";
const RECORD = `inet ${RECORD6_NAME}`;
/** The record's sets. */
export const RAISED = "raised";
export const ROUTERS = "routers";
export const SETTLED = "settled";
/** Names that can stand in a rule and in a path. */
const NAME = /^[^\s"*\\/]{1,15}$/;
const OWN = "softnet";

export interface IPv6ForwardingRecord {
  /** Interfaces whose `accept_ra` was 1 and became 2. */
  readonly raised: readonly string[];
  /** Interfaces that were a router's before, and `default`. */
  readonly routers: readonly string[];
  /** Whether all of them are as they were before. */
  readonly settled: boolean;
}

export interface IPv6ForwardingTools {
  /** Runs nft's commands as one transaction; returns what is wrong. */
  nft(commands: readonly string[]): string | undefined;
  /** What the record's table says; undefined where there is none. */
  readRecord(): IPv6ForwardingRecord | undefined;
  isBridge(link: string): boolean;
  /** Tells a person what happened on the host. */
  say(message: string): void;
}

export class IPv6Forwarding {
  readonly #tools: IPv6ForwardingTools;
  /** TAPs that forward. */
  readonly #taps = new Set<string>();
  /** Undefined while softnet has not turned the switch on. */
  #record: IPv6ForwardingRecord | undefined;
  #bridges = "";

  /** Takes over what an earlier helper left. */
  constructor(tools: IPv6ForwardingTools) {
    this.#tools = tools;
    this.#record = tools.readRecord();
    if (this.#record !== undefined) this.refresh();
  }

  /** A TAP needs forwarding from now on. Throws Error where it cannot be had. */
  open(tap: string): void {
    this.#taps.add(tap);
    try {
      this.refresh();
      if (!isOn("all") || !isOn(tap)) throw new Error(`${CONF}/all/forwarding cannot be set`);
    } catch (error) {
      this.#taps.delete(tap);
      throw error;
    }
  }

  /** A TAP is gone. */
  close(tap: string): void {
    if (!this.#taps.delete(tap)) return;
    turn(tap, false);
    this.refresh();
  }

  /** Makes everything as it should be: after each change, and whenever the host's settings or interfaces changed. */
  refresh(): void {
    if (this.#record === undefined && this.#taps.size === 0) return;
    if (this.#record !== undefined && !this.#record.settled && isOn("all")) this.#settle(this.#record);
    if (this.#record !== undefined && isOn("all") && isOn("default")) {
      this.#tools.say(
        "another program turned IPv6 forwarding on: this host routes for others, and goes on when softnet ends",
      );
      this.#giveUp();
    }
    if (this.#taps.size === 0 && !othersForward()) {
      this.#restore();
      return;
    }
    if (!isOn("all")) {
      if (this.#record?.settled) this.#tools.say("another program turned IPv6 forwarding off: it is on again");
      this.#turnOn();
    } else if (this.#record !== undefined && this.#bridges !== this.#findBridges().join()) {
      this.#write(this.#record);
    }
    const off = [...this.#taps].filter((tap) => !isOn(tap));
    if (off.length > 0) this.#makeRouters(off);
  }

  /** Another program removed the record's table: makes it again. */
  recordLost(): void {
    if (this.#record !== undefined) this.#write(this.#record);
  }

  #turnOn(): void {
    const routers = [...interfaces().filter((name) => NAME.test(name)), "default"].filter(isOn);
    this.#keep({ raised: learners(), routers, settled: false });
    raise(this.#record!.raised);
    turn("all", true);
    this.#settle(this.#record!);
  }

  /** The switch is on: everything else becomes as it was. */
  #settle({ raised, routers }: IPv6ForwardingRecord): void {
    turn("default", false);
    for (const name of interfaces()) if (!routers.includes(name)) turn(name, false);
    lower(raised);
    this.#keep({ raised: [], routers, settled: true });
  }

  /**
   * Interfaces become a router's. Where the switch is another program's there is no record: should the helper be killed in
   * this moment, `accept_ra` stays 2, which is no other than 1 where the host is none.
   */
  #makeRouters(names: readonly string[]): void {
    const raised = learners();
    const record = raised.length > 0 ? this.#record : undefined;
    if (record !== undefined) this.#keep({ ...record, raised });
    raise(raised);
    for (const name of names) turn(name, true);
    lower(raised);
    if (record !== undefined) this.#keep({ ...record, raised: [] });
  }

  #restore(): void {
    if (this.#record === undefined) return;
    const { raised, routers } = this.#record;
    if (isOn("all")) {
      turn("all", false);
      if (routers.length > 0) this.#makeRouters(routers);
    }
    lower(raised);
    this.#giveUp();
  }

  /** Throws Error where nft refuses; then the record is as it was. */
  #keep(record: IPv6ForwardingRecord): void {
    const error = this.#write(record);
    if (error !== undefined) throw new Error(error);
    this.#record = record;
  }

  #giveUp(): void {
    this.#record = undefined;
    this.#tools.nft([`add table ${RECORD}`, `delete table ${RECORD}`]);
  }

  #findBridges(): string[] {
    return interfaces().filter((name) => NAME.test(name) && this.#tools.isBridge(name));
  }

  /** Frames that a bridge passes on come by here too where br_netfilter is on: in and out is the bridge then. */
  #write({ raised, routers, settled }: IPv6ForwardingRecord): string | undefined {
    const bridges = this.#findBridges();
    this.#bridges = bridges.join();
    const names = (list: readonly string[]): string[] => list.map((name) => `"${name}"`);
    const fill = (set: string, elements: readonly string[]): string[] => [
      `flush set ${RECORD} ${set}`,
      ...(elements.length > 0 ? [`add element ${RECORD} ${set} { ${elements.join(", ")} }`] : []),
    ];
    return this.#tools.nft([
      `add table ${RECORD}`,
      `add set ${RECORD} ${RAISED} { type ifname; }`,
      `add set ${RECORD} ${ROUTERS} { type ifname; }`,
      `add set ${RECORD} bridges { type ifname . ifname; }`,
      `add set ${RECORD} ${SETTLED} { type ifname; }`,
      ...(settled ? [] : [`delete set ${RECORD} ${SETTLED}`]),
      `add chain ${RECORD} forward { type filter hook forward priority 0; policy accept; }`,
      `flush chain ${RECORD} forward`,
      ...fill(RAISED, names(raised)),
      ...fill(ROUTERS, names(routers)),
      ...fill(
        "bridges",
        bridges.map((name) => `"${name}" . "${name}"`),
      ),
      `add rule ${RECORD} forward meta nfproto ipv6 iifname != "${OWN}*" oifname != "${OWN}*" iifname . oifname != @bridges drop`,
    ]);
  }
}

/** All but softnet's own. */
function interfaces(): string[] {
  return list().filter((name) => name !== "all" && name !== "default" && !name.startsWith(OWN));
}

/** Whether TAPs of softnets that an earlier helper served still need forwarding: they are a router's. */
function othersForward(): boolean {
  return list().some((name) => name.startsWith(OWN) && isOn(name) && read(name, "disable_ipv6") === "0");
}

/** Empty where the kernel has no IPv6. */
function list(): string[] {
  return existsSync(CONF) ? readdirSync(CONF) : [];
}

/** Where the host learns its default route now, and would not if it were a router there. */
function learners(): string[] {
  return interfaces().filter((name) => NAME.test(name) && !isOn(name) && read(name, "accept_ra") === "1");
}

function raise(learners: readonly string[]): void {
  for (const name of learners) write(name, "accept_ra", "2");
}

/** Takes back what was raised, where nobody else has changed it. */
function lower(raised: readonly string[]): void {
  for (const name of raised) if (read(name, "accept_ra") === "2") write(name, "accept_ra", "1");
}

function isOn(name: string): boolean {
  return read(name, "forwarding") === "1";
}

function turn(name: string, on: boolean): void {
  if (isOn(name) !== on) write(name, "forwarding", on ? "1" : "0");
}

/** Empty where there is no such interface. */
function read(name: string, setting: string): string {
  try {
    return readFileSync(`${CONF}/${name}/${setting}`, "latin1").trim();
  } catch {
    return "";
  }
}

/** An interface that goes in this moment needs nothing any more. */
function write(name: string, setting: string, value: string): void {
  try {
    writeFileSync(`${CONF}/${name}/${setting}`, value);
  } catch (error) {
    if (existsSync(`${CONF}/${name}`)) throw error;
  }
}
