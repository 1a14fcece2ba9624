/**
 * The lab: a host with a bridge, an internet behind it, a private neighbour beside it, and guests.
 *
 *     internet ── up0 ── host ── br0 ── neighbour (10.77.0.9, and a DNS server 10.77.0.53)
 *     9.9.9.9             10.77.0.1 ├── guest: veth (bare) or softnet's TAP
 *     1.1.1.1                       └── guest …
 *
 * Globally routable addresses are used inside these namespaces only: nothing in here has a way out. Routing is plain, no
 * NAT, so whoever looks in the internet sees the guests' own source addresses.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mustHave, needs, needsTun, type Skip, type Tool } from "../../support/tools.ts";
import { Guest, type GuestOptions } from "./guest.ts";
import { Namespace } from "./netns.ts";
import type { Program, StartOptions } from "./program.ts";
import { clearRegistry } from "./registry.ts";
import { Watch } from "./watch.ts";

export const BRIDGE = "br0";
export const BRIDGE_MAC = "02:77:00:00:00:01";
export const GATEWAY = "10.77.0.1";
export const SUBNET = "10.77.0.0/24";
/** A machine on the bridge that nobody opened to guests. */
export const NEIGHBOUR = "10.77.0.9";
/** The DNS server that DHCP announces: neither the gateway nor globally routable. */
export const DNS_SERVER = "10.77.0.53";
/** A globally routable address in the internet namespace: HTTP on port 80, DNS on port 53. */
export const INTERNET = "9.9.9.9";
/** Another one. */
export const INTERNET_2 = "1.1.1.1";
/** What every name resolves to. */
export const NAME_ADDRESS = INTERNET;

const UPLINK_HOST = "100.64.0.1";
const UPLINK_INTERNET = "100.64.0.2";

/**
 * What every test in the lab needs, and these tools: options for node:test that leave the test out and say why. With
 * SOFTNET_TEST_ALL=1 a missing one is an error.
 */
export function labNeeds(...tools: readonly Tool[]): Skip {
  const all = ["ip", "bridge", "ping", "python3", ...tools] as const;
  if (process.env.SOFTNET_TEST_ALL === "1") mustHave(...all);
  return { ...needs(...all), ...needsTun() };
}

/** Option of a suite: labs wait more than they work, and have nothing in common but the machine. */
export const SIDE_BY_SIDE = { concurrency: 4 } as const;

/** What `Lab.open` needs of a test context. */
export interface Cleanup {
  after(fn: () => void | Promise<void>): void;
  diagnostic(message: string): void;
  /** Why the test failed, once it did. */
  readonly error: unknown;
}

const QUIET = { "net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1" };

const open = new Set<Lab>();
process.on("exit", () => {
  for (const lab of open) lab.close();
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

export class Lab {
  readonly host: Namespace;
  readonly internet: Namespace;
  readonly neighbour: Namespace;
  /** A temporary directory, removed with the lab. */
  readonly directory: string;
  readonly #namespaces: Namespace[] = [];
  readonly #programs: Program[] = [];
  readonly #beforeClose: (() => void)[] = [];

  /** Opens a lab that the test's end closes, also when the test throws. */
  static open(t: Cleanup): Lab {
    const lab = new Lab();
    t.after(() => {
      if (t.error) lab.tell((line) => t.diagnostic(line));
      lab.close();
    });
    return lab;
  }

  constructor() {
    open.add(this);
    this.directory = mkdtempSync(join(tmpdir(), `softnet-lab-${process.pid}-`));
    chmodSync(this.directory, 0o755);
    try {
      this.host = this.namespace("host");
      this.internet = this.namespace("internet");
      this.neighbour = this.namespace("neighbour");
      for (const namespace of [this.host, this.internet, this.neighbour]) namespace.sysctl(QUIET);
      this.host.sysctl({
        "net/ipv4/ip_forward": "1",
        "net/ipv4/conf/all/rp_filter": "0",
        "net/ipv4/conf/default/rp_filter": "0",
        "net/ipv4/conf/all/send_redirects": "0",
        "net/ipv4/conf/default/send_redirects": "0",
        "net/ipv4/ping_group_range": "0 2147483647",
      });
      this.host.ipBatch([
        `link add ${BRIDGE} address ${BRIDGE_MAC} type bridge forward_delay 0 stp_state 0`,
        `link set ${BRIDGE} up`,
        `address add ${GATEWAY}/24 dev ${BRIDGE}`,
        `link add up0 type veth peer name up0 netns ${this.internet.name}`,
        `address add ${UPLINK_HOST}/30 dev up0`,
        "link set up0 up",
        `route add default via ${UPLINK_INTERNET}`,
        `link add nb0 type veth peer name nb0 netns ${this.neighbour.name}`,
        `link set nb0 master ${BRIDGE} up`,
      ]);
      this.internet.ipBatch([
        `address add ${UPLINK_INTERNET}/30 dev up0`,
        "link set up0 up",
        `address add ${INTERNET}/32 dev lo`,
        `address add ${INTERNET_2}/32 dev lo`,
        `route add default via ${UPLINK_HOST}`,
      ]);
      this.neighbour.ipBatch([
        `address add ${NEIGHBOUR}/24 dev nb0`,
        `address add ${DNS_SERVER}/24 dev nb0`,
        "link set nb0 up",
        `route add default via ${GATEWAY}`,
      ]);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A namespace that goes with the lab. */
  namespace(role: string): Namespace {
    const namespace = new Namespace(role);
    this.#namespaces.push(namespace);
    return namespace;
  }

  /** Starts a program that ends with the lab. */
  start(namespace: Namespace, command: string, args: readonly string[], options?: StartOptions): Program {
    const program = namespace.start(command, args, options);
    this.#programs.push(program);
    return program;
  }

  /** Calls `close` before the lab ends its programs. */
  beforeClose(close: () => void): void {
    this.#beforeClose.push(close);
  }

  /** A guest on the bridge. */
  guest(options: GuestOptions = {}): Promise<Guest> {
    return Guest.create(this, options);
  }

  /** Records frames that a link sends and receives, until the lab closes. */
  watch(namespace: Namespace, link: string): Promise<Watch> {
    return Watch.start(this, namespace, link);
  }

  /** Starts HTTP and DNS on the internet's addresses, and the DNS server on the bridge. */
  async services(): Promise<void> {
    const programs = [
      this.start(this.internet, process.execPath, [tool("services.ts"), "--http", INTERNET, "--dns", INTERNET]),
      this.start(this.neighbour, process.execPath, [tool("services.ts"), "--http", NEIGHBOUR, "--dns", DNS_SERVER]),
    ];
    await Promise.all(programs.map((program) => program.line(/^ready$/)));
  }

  /** The port of the bridge behind which it learned a MAC address. */
  bridgePortOf(mac: string): string | undefined {
    interface Entry {
      readonly mac: string;
      readonly ifname: string;
    }
    return this.host
      .bridgeJson<Entry>("fdb", "show", "br", BRIDGE)
      .find((entry) => entry.mac === mac && entry.ifname !== BRIDGE)?.ifname;
  }

  /** Tells what each program printed last, and how it ended if it did. */
  tell(line: (text: string) => void): void {
    for (const program of this.#programs) {
      const { code, signal } = program.exit ?? {};
      line(
        `${program.label} ${program.exit === undefined ? "runs" : `ended with ${signal ?? code}`}\n${program.text()}`,
      );
    }
  }

  /** Ends every program and deletes every namespace. Harmless when called twice. */
  close(): void {
    open.delete(this);
    for (const close of this.#beforeClose) close();
    for (const program of this.#programs) program.kill();
    for (const namespace of this.#namespaces) {
      if (namespace.exists) clearRegistry(namespace);
      try {
        namespace.delete();
      } catch {
        // It was deleted by the test.
      }
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Path of one of the lab's own tools. */
export function tool(name: string): string {
  return fileURLToPath(new URL(`../tools/${name}`, import.meta.url));
}
