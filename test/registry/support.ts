/** A registry of a test's own: the real locks and clocks, in a temporary folder. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { BindingChange, BoundIPv4Address, BoundIPv6Address } from "../../src/guard/types.ts";
import { loadLibc } from "../../src/native/linux/libc.ts";
import { linuxRegistry } from "../../src/registry/linux.ts";
import { Registration } from "../../src/registry/registration.ts";
import type { RegistrySystem } from "../../src/registry/system.ts";
import { parseIPv4, parseMac } from "../../src/wire/address.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";

export const ONLY_LINUX = { skip: process.platform === "linux" ? false : "the registry's locks here are Linux's" };

export const NETWORK = "bridge br0";
export const VM = parseMac("7e:1a:00:00:00:01")!;
export const OTHER_VM = parseMac("7e:1a:00:00:00:02")!;
export const ADDRESS = parseIPv4("10.77.0.5")!;
export const OTHER_ADDRESS = parseIPv4("10.77.0.6")!;
export const ADDRESS_6 = parseIPv6("2001:db8:77::5")!;
export const OTHER_ADDRESS_6 = parseIPv6("2001:db8:77::6")!;
export const LINK_LOCAL = parseIPv6("fe80::7c1a:ff:fe00:1")!;
export const MINUTE = 60_000_000;

export const libc = process.platform === "linux" ? loadLibc() : undefined;

/** The system as it is, but for the folder, its owner and what a test changes. */
export function registryIn(directory: string, change: Partial<RegistrySystem> = {}): RegistrySystem {
  return { ...linuxRegistry(libc!), directory, owner: process.getuid!(), networkScope: () => "", ...change };
}

/** A folder for a registry, not yet made; it goes with the test. */
export function temporaryFolder(t: TestContext): string {
  const parent = mkdtempSync(join(tmpdir(), "softnet-registry-"));
  chmodSync(parent, 0o755);
  t.after(() => rmSync(parent, { recursive: true, force: true }));
  return join(parent, "softnet");
}

export class Bench {
  readonly directory: string;
  readonly system: RegistrySystem;
  readonly #t: TestContext;

  constructor(t: TestContext, change: Partial<RegistrySystem> = {}) {
    this.#t = t;
    this.directory = temporaryFolder(t);
    this.system = registryIn(this.directory, change);
  }

  /** A registration that ends with the test at the latest. */
  open(mac = VM, network = NETWORK, change: Partial<RegistrySystem> = {}, ipv6 = false): Registration {
    const registration = Registration.open({ ...this.system, ...change }, { network, mac, pid: process.pid, ipv6 });
    this.#t.after(() => registration.close());
    return registration;
  }

  /** The same with IPv6. */
  open6(mac = VM, network = NETWORK, change: Partial<RegistrySystem> = {}): Registration {
    return this.open(mac, network, change, true);
  }

  files(): string[] {
    return readdirSync(this.directory).sort();
  }

  /** What a guard tells when it has learned an address, for an hour. */
  learned(address = ADDRESS, change: Partial<BoundIPv4Address> = {}): BindingChange & { bound: BoundIPv4Address } {
    return { kind: "learned", bound: { ...boundOf(this.system, address), ...change } };
  }

  /** Claims and learns, as a guard does; answers whether it could. */
  learn(registration: Registration, address = ADDRESS, change: Partial<BoundIPv4Address> = {}): boolean {
    if (registration.isHeldElsewhere(address)) return false;
    registration.follow(this.learned(address, change));
    return true;
  }
}

/** Claims and learns an IPv6 address; answers whether it could. */
export function learn6(registration: Registration, bound: BoundIPv6Address): boolean {
  if (registration.isHeldElsewhere6(bound.address)) return false;
  registration.follow({ kind: "learned", bound });
  return true;
}

export function boundOf(system: RegistrySystem, address: number): BoundIPv4Address {
  return {
    family: "ipv4",
    address,
    origin: "snooped",
    server: parseIPv4("10.77.0.1")!,
    expiry: system.sinceBoot() + 60 * MINUTE,
    netmask: parseIPv4("255.255.255.0")!,
    router: parseIPv4("10.77.0.1")!,
    dnsServers: [parseIPv4("10.77.0.53")!, parseIPv4("9.9.9.9")!],
    acknowledged: {
      source: parseIPv4("10.77.0.1")!,
      sourceMac: parseMac("02:77:00:00:00:01")!,
      clientIdentifier: Uint8Array.of(1, 0x7e, 0x1a, 0, 0, 0, 1),
    },
  };
}

/** A guest's address of its own making; as DHCPv6's with `leased`. */
export function boundIPv6(address: bigint, change: Partial<BoundIPv6Address> = {}): BoundIPv6Address {
  return { family: "ipv6", address, origin: "slaac", expiry: Number.POSITIVE_INFINITY, ...change };
}

/** What makes it a DHCPv6 lease of an hour. */
export function leased(system: RegistrySystem): Partial<BoundIPv6Address> {
  const lease = { server: Uint8Array.of(0, 1, 2, 3), client: Uint8Array.of(0, 3, 9), iaid: 0xfffffffe };
  return { origin: "dhcpv6", expiry: system.sinceBoot() + 60 * MINUTE, lease };
}

/** Another process with a registration (holder.ts): a softnet, as far as the registry is concerned. */
export class OtherSoftnet {
  readonly pid: number;
  readonly #child;
  readonly #lines: AsyncIterator<string>;

  constructor(t: TestContext, directory: string, mac: string, network = NETWORK) {
    const program = fileURLToPath(new URL("holder.ts", import.meta.url));
    this.#child = spawn(process.execPath, [program, directory, network, mac], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdin.on("error", () => {}); // it ended early: that no line comes says it
    this.pid = this.#child.pid!;
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    t.after(() => this.kill());
  }

  /** Gives an order and answers what came of it. */
  async order(text: string): Promise<string> {
    this.#child.stdin.write(`${text}\n`);
    return await this.line();
  }

  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("the other softnet has ended");
    return value;
  }

  /** Ends it as `kill -9` does. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}
