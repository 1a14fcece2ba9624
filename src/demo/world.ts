/**
 * The machines of the demo: namespaces that are connected to each other and to no real network.
 *
 *     alice ──┐
 *     mallory ┴─ br0 (host: gateway, DHCP, DNS) ── internet
 *     neighbour ─┘
 *
 * Behind NAT the guests are not on that bridge: each is connected to the host by its own softnet.
 *
 * The demo's host is a namespace as well, so that the real host's bridges, routes and settings are not changed.
 */
import { Agent } from "./agent-process.ts";
import { connect, type Way } from "./cards.ts";
import { Cleanup } from "./cleanup.ts";
import type { Guest } from "./guest.ts";
import { awaitIPv6, restoreIPv6 } from "./guest6.ts";
import { whyNoIPv6 } from "./ipv6-requirements.ts";
import type { Machine } from "./machine.ts";
import { Namespace } from "./namespace.ts";
import * as plan from "./plan.ts";
import { GUEST6, joinIPv6, openServices6, ROUTER6, THIEF6 } from "./world6.ts";

/** Without IPv6, where it is not shown, the counts are easier to read. The other settings may be inherited from the host. */
const QUIET = {
  "net/ipv6/conf/all/disable_ipv6": "1",
  "net/ipv6/conf/default/disable_ipv6": "1",
  "net/ipv4/conf/all/rp_filter": "0",
  "net/ipv4/conf/default/rp_filter": "0",
};

/** Forwards packets and sends no ICMP redirects. */
const ROUTER = {
  ...QUIET,
  "net/ipv4/ip_forward": "1",
  "net/ipv4/conf/all/send_redirects": "0",
  "net/ipv4/conf/default/send_redirects": "0",
};

/**
 * A host that accepts 127.0.0.1 from its cards, as network plugins of containers require. Behind NAT softnet itself
 * enables forwarding.
 */
function hostSettings(way: Way, ipv6: boolean): Readonly<Record<string, string>> {
  return {
    ...ROUTER,
    ...(ipv6 && ROUTER6),
    "net/ipv4/ip_forward": way === "nat" ? "0" : "1",
    "net/ipv4/conf/all/route_localnet": "1",
  };
}

/** In the names of namespaces. */
const NUMBERS: Readonly<Record<Way, number>> = { bare: 1, bridge: 2, nat: 3 };

export class World {
  readonly way: Way;
  /** Whether the guests have IPv6. */
  readonly ipv6: boolean;
  readonly host: Machine;
  readonly internet: Machine;
  readonly neighbour: Machine;
  readonly alice: Guest;
  readonly mallory: Guest;
  readonly #cleanup: Cleanup;

  private constructor(
    machines: { readonly host: Machine; readonly internet: Machine; readonly neighbour: Machine },
    guests: { readonly alice: Guest; readonly mallory: Guest },
    way: Way,
    ipv6: boolean,
    cleanup: Cleanup,
  ) {
    this.host = machines.host;
    this.internet = machines.internet;
    this.neighbour = machines.neighbour;
    this.alice = guests.alice;
    this.mallory = guests.mallory;
    this.way = way;
    this.ipv6 = ipv6;
    this.#cleanup = cleanup;
  }

  /** Makes the machines; `whole` removes them if the demo is interrupted. `jobOptions`: Mallory is no router, but runs
   * a job only, and these are more options for her softnet. */
  static async create(way: Way, whole: Cleanup, jobOptions?: readonly string[]): Promise<World> {
    whole.check();
    const ipv6 = way !== "nat" && whyNoIPv6() === undefined;
    const cleanup = new Cleanup();
    whole.add(() => cleanup.run());
    const machine = (role: string): Machine => {
      cleanup.check();
      const namespace = new Namespace(`${role}-${NUMBERS[way]}`);
      cleanup.add(() => namespace.delete());
      return { namespace, agent: new Agent(namespace, cleanup) };
    };
    const host = machine("host");
    const internet = machine("internet");
    const neighbour = machine("neighbour");
    const aliceHome = machine("alice");
    const malloryHome = machine("mallory");
    const ordinary = { ...QUIET, ...(ipv6 && GUEST6), "net/ipv4/ip_forward": "0" };
    await Promise.all([
      host.agent.call("setKernel", hostSettings(way, ipv6)),
      internet.agent.call("setKernel", { ...QUIET, ...(ipv6 && GUEST6) }),
      neighbour.agent.call("setKernel", QUIET),
      aliceHome.agent.call("setKernel", ordinary),
      malloryHome.agent.call("setKernel", jobOptions === undefined ? { ...ROUTER, ...(ipv6 && THIEF6) } : ordinary),
    ]);
    join(host.namespace, internet.namespace, neighbour.namespace);
    if (ipv6) joinIPv6(host.namespace, internet.namespace);
    const [alice, mallory] = await Promise.all([
      connect("Alice", aliceHome, host.namespace, plan.ALICE_MAC, { way, ipv6 }, cleanup),
      connect("Mallory", malloryHome, host.namespace, plan.MALLORY_MAC, { way, ipv6, more: jobOptions ?? [] }, cleanup),
    ]);
    const world = new World({ host, internet, neighbour }, { alice, mallory }, way, ipv6, cleanup);
    await world.#openServices();
    if (ipv6) await openServices6(host, internet);
    return world;
  }

  /** Removes all machines. */
  close(): Promise<void> {
    return this.#cleanup.run();
  }

  /** Gives both guests their addresses. */
  async start(): Promise<void> {
    await this.boot();
    await this.restore();
  }

  /** The same, without a ping of the gateway. */
  async boot(): Promise<void> {
    await this.alice.boot();
    await this.mallory.boot();
    if (this.ipv6) await Promise.all([awaitIPv6(this.alice), awaitIPv6(this.mallory)]);
  }

  /** Removes an attack's effects from both guests; `ipv6`: it was one by IPv6. */
  async restore(ipv6 = false): Promise<void> {
    if (ipv6) await restoreIPv6(this.alice);
    else await Promise.all([this.alice.restore(), this.mallory.restore()]);
  }

  /** The address under which the Internet knows a guest. */
  knownAs(guest: Guest): string {
    return this.way === "nat" ? plan.UPLINK_HOST : guest.address;
  }

  async #openServices(): Promise<void> {
    const { host, internet, neighbour } = this;
    await Promise.all([
      host.agent.call("serveDhcp", {
        link: plan.BRIDGE,
        mac: plan.mac(plan.GATEWAY_MAC),
        address: plan.ipv4(plan.GATEWAY),
        netmask: plan.ipv4(plan.NETMASK),
        poolFirst: plan.ipv4(plan.POOL_FIRST),
        poolSize: plan.POOL_SIZE,
        leaseSeconds: plan.LEASE_SECONDS,
      }),
      host.agent.call("serveDns", { address: plan.GATEWAY, names: plan.NAMES }),
      internet.agent.call("serveWeb", { address: plan.INTERNET, page: "a public page" }),
      internet.agent.call("serveMail", { address: plan.INTERNET, port: plan.MAIL_PORT }),
      internet.agent.call("openBank", { address: plan.INTERNET, port: plan.BANK_PORT }),
      neighbour.agent.call("serveWeb", { address: plan.NEIGHBOUR, page: plan.NEIGHBOUR_PAGE }),
    ]);
  }
}

/** Makes the bridge and the links to the Internet and to the neighbour. */
function join(host: Namespace, internet: Namespace, neighbour: Namespace): void {
  host.batch([
    "link set lo up",
    `link add ${plan.BRIDGE} address ${plan.GATEWAY_MAC} type bridge forward_delay 0 stp_state 0 mcast_snooping 0`,
    `link set ${plan.BRIDGE} up`,
    `address add ${plan.GATEWAY}/${plan.PREFIX_LENGTH} dev ${plan.BRIDGE}`,
    `link add up0 address ${plan.UPLINK_HOST_MAC} type veth peer name up0 address ${plan.UPLINK_INTERNET_MAC} netns ${internet.name}`,
    `address add ${plan.UPLINK_HOST}/30 dev up0`,
    "link set up0 up",
    `route add default via ${plan.UPLINK_INTERNET}`,
    `link add port-neighbour type veth peer name eth0 netns ${neighbour.name}`,
    `link set port-neighbour master ${plan.BRIDGE} up`,
  ]);
  internet.batch([
    "link set lo up",
    `address add ${plan.UPLINK_INTERNET}/30 dev up0`,
    `address add ${plan.INTERNET}/32 dev lo`,
    "link set up0 up",
    `route add default via ${plan.UPLINK_HOST}`,
  ]);
  neighbour.batch([
    `address add ${plan.NEIGHBOUR}/${plan.PREFIX_LENGTH} dev eth0`,
    "link set eth0 up",
    `route add default via ${plan.GATEWAY}`,
  ]);
}
