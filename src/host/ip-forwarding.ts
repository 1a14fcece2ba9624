/**
 * IPv4 forwarding, interface by interface: the VMs' TAPs, and those on which their answers come back. The host's switch for
 * all (`ip_forward`) is never touched: it belongs to whoever else wants the host to route, and turning it changes every
 * interface at once. The kernel looks at the interface that a packet comes in on (ip-sysctl, `conf/IF/forwarding`).
 *
 * An interface that did not forward before is opened so that nobody else gains by it: a table of its own names it first
 * (`RECORD`), and drops what comes in there and does not go to a VM. That table belongs to nobody: should all softnets
 * and the helper be killed at once, it stays, keeps the host from being a router, and says to the next helper what to put
 * back. A program that turns `ip_forward` on later wants all of them: then the record is given up, nothing is dropped any
 * more, and nothing is put back at the end.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";

const CONF = "/proc/sys/net/ipv4/conf";
export const RECORD_NAME = "softnet_forwarding";
const RECORD = `inet ${RECORD_NAME}`;
/** A set whose name says that `ip_forward` was on. */
export const DESPITE_ALL = "despite_all";
/** Names that can stand in a rule and in a path. */
const NAME = /^[^\s"*\\/]{1,15}$/;
const OWN = "softnet";
/** Marks a TAP that needs forwarding, in its setting `tag`, a number for anybody's use: it goes with the TAP. */
const NEED = "1";

export interface IpForwardingRecord {
  /** Interfaces that were opened. */
  readonly opened: readonly string[];
  /** Whether `ip_forward` was on then: an administrator had turned these off one by one. */
  readonly despiteAll: boolean;
}

export interface IpForwardingTools {
  /** Runs nft's commands as one transaction; returns what is wrong. */
  nft(commands: readonly string[]): string | undefined;
  /** What the record's table says; undefined where there is none. */
  readRecord(): IpForwardingRecord | undefined;
  isBridge(link: string): boolean;
  /** Tells a person what happened on the host. */
  say(message: string): void;
}

export class IpForwarding {
  readonly #tools: IpForwardingTools;
  /** TAPs that forward. */
  readonly #taps = new Set<string>();
  /** Those of them that forwarded already. */
  readonly #known = new Set<string>();
  /** Interfaces that softnet opened. */
  #opened: Set<string>;
  /** Whether the host forwarded for everybody when it was looked at last. */
  #all: boolean;

  /** Takes over what an earlier helper left. */
  constructor(tools: IpForwardingTools) {
    this.#tools = tools;
    const record = tools.readRecord();
    this.#opened = new Set(record?.opened);
    this.#all = record === undefined ? isOn("all") : record.despiteAll;
    if (this.#opened.size > 0) this.refresh();
  }

  /** A TAP needs forwarding from now on. Throws Error where it cannot be had. */
  open(tap: string): void {
    this.#taps.add(tap);
    write(tap, "tag", NEED);
    this.refresh();
    if (!isOn(tap)) {
      this.#taps.delete(tap);
      throw new Error(`${CONF}/${tap}/forwarding cannot be set`);
    }
  }

  /** A TAP is gone. */
  close(tap: string): void {
    this.#known.delete(tap);
    if (this.#taps.delete(tap)) this.refresh();
  }

  /** Makes everything as it should be: after each change, and whenever the host's settings or addresses changed. */
  refresh(): void {
    const all = isOn("all");
    if (all && !this.#all && this.#opened.size > 0) {
      this.#tools.say(
        "another program turned ip_forward on: this host routes for others, and goes on when softnet ends",
      );
      this.#giveUp();
    }
    this.#all = all;
    if (this.#taps.size === 0 && !othersForward()) {
      this.#restore();
      return;
    }
    for (const tap of this.#taps) {
      const known = this.#known.has(tap);
      this.#known.add(tap);
      if (isOn(tap) || !existsSync(`${CONF}/${tap}`)) continue;
      turn(tap, true);
      if (known) this.#tools.say(`another program turned forwarding off for ${tap}: it is on again`);
    }
    const wanted = uplinks().filter((name) => !isOn(name));
    const added = wanted.filter((name) => !this.#opened.has(name));
    const gone = [...this.#opened].filter((name) => !existsSync(`${CONF}/${name}`));
    if (added.length > 0 || gone.length > 0) {
      for (const name of gone) this.#opened.delete(name);
      for (const name of added) this.#opened.add(name);
      const error = this.#writeRecord();
      if (error !== undefined) {
        for (const name of added) this.#opened.delete(name);
        throw new Error(error);
      }
    }
    for (const name of wanted) turn(name, true);
  }

  /** Another program removed the record's table: makes it again. */
  recordLost(): void {
    if (this.#opened.size > 0) this.#writeRecord();
  }

  #restore(): void {
    for (const name of this.#opened) if (isOn(name)) turn(name, false);
    this.#giveUp();
  }

  #giveUp(): void {
    if (this.#opened.size === 0) return;
    this.#opened = new Set();
    this.#tools.nft([`add table ${RECORD}`, `delete table ${RECORD}`]);
  }

  #writeRecord(): string | undefined {
    const names = [...this.#opened].map((name) => `"${name}"`);
    // Frames that a bridge passes on come by here too where br_netfilter is on: in and out is the bridge then.
    const bridges = [...this.#opened]
      .filter((name) => this.#tools.isBridge(name))
      .map((name) => `"${name}" . "${name}"`);
    // Nothing is deleted here: that is what recordLost would take for another program's doing.
    return this.#tools.nft([
      `add table ${RECORD}`,
      `add set ${RECORD} opened { type ifname; }`,
      `add set ${RECORD} bridges { type ifname . ifname; }`,
      ...(this.#all ? [`add set ${RECORD} ${DESPITE_ALL} { type ifname; }`] : []),
      `add chain ${RECORD} forward { type filter hook forward priority 0; policy accept; }`,
      `flush chain ${RECORD} forward`,
      `flush set ${RECORD} opened`,
      `flush set ${RECORD} bridges`,
      ...(names.length > 0 ? [`add element ${RECORD} opened { ${names.join(", ")} }`] : []),
      ...(bridges.length > 0 ? [`add element ${RECORD} bridges { ${bridges.join(", ")} }`] : []),
      `add rule ${RECORD} forward iifname @opened oifname != "${OWN}*" iifname . oifname != @bridges drop`,
    ]);
  }
}

/** Interfaces with an IPv4 address, but for softnet's own and the loopback: where an answer to a VM may come in. */
function uplinks(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([name, addresses]) => !name.startsWith(OWN) && addresses?.some(isUplinkAddress) && NAME.test(name))
    .map(([name]) => name);
}

function isUplinkAddress({ family, internal }: { readonly family: string; readonly internal: boolean }): boolean {
  return family === "IPv4" && !internal;
}

/** Whether TAPs of softnets that an earlier helper served still need forwarding. */
function othersForward(): boolean {
  return readdirSync(CONF).some((name) => name.startsWith(OWN) && read(name, "tag") === NEED);
}

function isOn(name: string): boolean {
  return read(name, "forwarding") === "1";
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
function turn(name: string, on: boolean): void {
  write(name, "forwarding", on ? "1" : "0");
}

function write(name: string, setting: string, value: string): void {
  try {
    writeFileSync(`${CONF}/${name}/${setting}`, value);
  } catch (error) {
    if (existsSync(`${CONF}/${name}`)) throw error;
  }
}
