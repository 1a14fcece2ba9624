/**
 * IPv6 on a bridge with routers, servers and clients as they are: each guest gets its addresses through softnet, reaches
 * the router and what is behind it, and keeps them over a restart of softnet.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { Card } from "../lab/harness/attached.ts";
import type { Guest } from "../lab/harness/guest.ts";
import {
  addresses6,
  dhclient6,
  dhcp6,
  dnsmasq6,
  globals,
  INTERNET6,
  ORDINARY6,
  online,
  openLab6,
  PREFIX,
  pingRouter,
  radvd,
  type Server6,
  serve6,
} from "../lab/harness/ipv6.ts";
import { type Program, sleep, until } from "../lab/harness/program.ts";
import { networkManager } from "../lab/harness/real-clients.ts";
import { clearRegistry } from "../lab/harness/registry.ts";
import { assertInnocent, Softnet } from "../lab/harness/softnet.ts";
import { BRIDGE, type Lab, labNeeds, SIDE_BY_SIDE, tool } from "../lab/harness/topology.ts";
import { LIMIT, LONG_LIMIT } from "../support/patience.ts";
import type { Tool } from "../support/tools.ts";

const NETWORKD = "/usr/lib/systemd/systemd-networkd";
/** Who asks the VM in softnet's name (docs/guard-ipv6.md, What softnet asks). */
const NOBODY = "02:00:00:00:00:00";
/** What takes long, or differs little from what is played every time. */
const ALL = process.env.SOFTNET_TEST_ALL === "1";

const guest6 = (lab: Lab, card?: Card): Promise<Guest> => lab.guest({ bare: false, card, args: ["--ipv6"] });

/** Through softnet to the router and, by TCP, to what is behind it. */
async function reaches(guest: Guest): Promise<void> {
  assert.ok(await pingRouter(guest.namespace, guest.link), "the router");
  assert.equal(await guest.download(100_000, `[${INTERNET6}]`), 100_000);
}

/** Client programs, each of which configures the card itself. */
const CLIENTS = {
  "systemd-networkd"(guest: Guest): Program {
    const folder = join(guest.lab.directory, "networkd");
    mkdirSync(join(folder, "network"), { recursive: true });
    writeFileSync(
      join(folder, "network", "10-client.network"),
      `[Match]\nName=${guest.link}\n[Network]\nDHCP=ipv6\nIPv6AcceptRA=yes\nLinkLocalAddressing=ipv6\n` +
        "[DHCPv6]\nDUIDType=vendor\nDUIDRawData=00:00:ab:11:f9:2a:c2:77:7e:1a:00:01\n",
    );
    const env = ["env", "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console", NETWORKD];
    return guest.start("sh", [tool("private-run.sh"), folder, ...env]);
  },
  dhcpcd(guest: Guest): Program {
    const folder = join(guest.lab.directory, "dhcpcd");
    mkdirSync(folder);
    const config = join(folder, "dhcpcd.conf");
    writeFileSync(config, `duid\noption domain_name_servers\nslaac private\ninterface ${guest.link}\nia_na 1\n`);
    const run = ["dhcpcd", "-B", "-d", "-6", "-f", config, "-c", "/bin/true", guest.link];
    return guest.start("sh", [tool("private-run.sh"), folder, ...run]);
  },
  NetworkManager(guest: Guest): Program {
    const methods = "[ipv4]\nmethod=disabled\n[ipv6]\nmethod=auto\ndhcp-duid=ll\n";
    const [command, ...args] = networkManager(join(guest.lab.directory, "manager"), guest.link, methods);
    return guest.start(command!, args);
  },
} as const;

/** The kernel makes a route for each address of its own; NetworkManager makes routes itself. */
function isManaged({ namespace, link }: Guest): boolean {
  return addresses6(namespace, link).some(({ scope, noprefixroute }) => scope === "global" && noprefixroute === true);
}

const taught = (guest: Guest, message: string, address: string): boolean =>
  guest.softnet!.records.some((record) => record.message === message && record.address === address);

suite("IPv6 on a bridge", SIDE_BY_SIDE, () => {
  if (ALL) {
    test("an idle, silent guest is reachable after its 300 s: softnet has asked it (RFC 6620)", {
      ...labNeeds("radvd"),
      ...LONG_LIMIT,
    }, async (t) => {
      const lab = openLab6(t);
      await radvd(lab);
      const guest = await guest6(lab);
      const address = await online(guest.namespace, guest.link);
      const card = await lab.watch(guest.namespace, guest.link);
      const answers = async () => {
        const args = ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "2", "-I", INTERNET6, address];
        return (await lab.internet.run("ping", args)).code === 0;
      };
      assert.ok(await answers());
      await sleep(310_000);
      assert.ok(card.some(({ source, ip6 }) => source === NOBODY && ip6?.target === address));
      assert.ok(await answers());
      assert.ok(!taught(guest, "binding lost", address));
      assertInnocent(await guest.stop(), ...ORDINARY6);
    });
  }

  for (const [name, router, needed] of [
    ["radvd", radvd, "radvd"],
    ["dnsmasq", dnsmasq6, "dnsmasq"],
  ] as const) {
    test(`the kernel's SLAAC with temporary addresses at ${name}`, { ...labNeeds(needed), ...LIMIT }, async (t) => {
      const lab = openLab6(t);
      await router(lab);
      await serve6(lab);
      const guest = await guest6(lab);
      guest.namespace.ip("link", "set", guest.link, "down");
      guest.namespace.sysctl({ [`net/ipv6/conf/${guest.link}/use_tempaddr`]: "2" });
      guest.namespace.ip("link", "set", guest.link, "up");
      await online(guest.namespace, guest.link);
      await until("a stable and a temporary one", () => globals(guest.namespace, guest.link).length === 2);
      assert.equal(addresses6(guest.namespace, guest.link).filter(({ temporary }) => temporary).length, 1);
      await reaches(guest);
      for (const address of globals(guest.namespace, guest.link)) {
        const args = ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "2", "-I", address, INTERNET6];
        assert.equal((await guest.namespace.run("ping", args)).code, 0, `from ${address}`);
      }
      assertInnocent(await guest.stop(), ...ORDINARY6);
    });
  }

  const every = [
    ["systemd-networkd", "radvd", radvd, "radvd"],
    ["dhcpcd", "dnsmasq", dnsmasq6, "dnsmasq"],
    ["NetworkManager", "dnsmasq", dnsmasq6, "dnsmasq"],
  ] as const;
  const further = [
    ["systemd-networkd", "dnsmasq", dnsmasq6, "dnsmasq"],
    ["dhcpcd", "radvd", radvd, "radvd"],
    ["NetworkManager", "radvd", radvd, "radvd"],
  ] as const;
  for (const [client, name, router, needed] of ALL ? [...every, ...further] : every) {
    const bus: readonly Tool[] = client === "NetworkManager" ? ["dbus-daemon"] : [];
    const tools: readonly Tool[] = [client, "unshare", needed, ...bus];
    test(`${client} at ${name}`, { ...labNeeds(...tools), ...LIMIT }, async (t) => {
      const lab = openLab6(t);
      const server = await router(lab);
      await serve6(lab);
      // NetworkManager takes a TAP for somebody else's.
      const guest = await guest6(lab, client === "NetworkManager" ? "veth" : undefined);
      const program = CLIENTS[client](guest);
      await online(guest.namespace, guest.link);
      if (client === "NetworkManager") await until("its own address", () => isManaged(guest));
      if (name === "dnsmasq") {
        const leased = (address: string) => /^2001:db8:77::1[0-9a-f]{2}$/.test(address);
        await until("DHCPv6's address", () => globals(guest.namespace, guest.link).some(leased));
        await server.line(/DHCPREPLY/);
      }
      await reaches(guest);
      program.kill();
      assertInnocent(await guest.stop(), ...ORDINARY6);
    });
  }

  const servers: readonly Server6[] = ALL ? ["kea-dhcp6", "dhcpd"] : ["kea-dhcp6"];
  for (const kind of servers) {
    test(`dhclient -6 at ${kind}: bound, renewed, released`, {
      ...labNeeds("dhclient", "radvd", kind),
      ...LIMIT,
    }, async (t) => {
      const lab = openLab6(t);
      await radvd(lab, true);
      await dhcp6(lab, kind);
      await serve6(lab);
      const guest = await guest6(lab);
      const client = await dhclient6(guest);
      await client.line(/^EVENT BOUND6 /);
      const address = await online(guest.namespace, guest.link);
      assert.ok(address.startsWith(`${PREFIX}1`));
      await reaches(guest);
      await client.line(/^EVENT RENEW6 /);
      await reaches(guest);
      await client.stop("SIGKILL");
      const releasing = await dhclient6(guest, "-r");
      await releasing.line(/^EVENT RELEASE6 /);
      await until("softnet has seen the end", () => taught(guest, "binding lost", address));
      assertInnocent(await guest.stop(), ...ORDINARY6);
    });
  }

  for (const registry of [true, false]) {
    test(`softnet ended and started again under a guest, ${registry ? "with" : "without"} the registry: it goes on`, {
      ...labNeeds("radvd"),
      ...LIMIT,
    }, async (t) => {
      const lab = openLab6(t);
      await radvd(lab);
      const lasting = await LastingCard.create(lab);
      await online(lasting.namespace, "eth0");
      const pings = lab.start(lasting.namespace, "ping", ["-n", "-i", "0.2", INTERNET6]);
      await pings.line(/icmp_seq=\d+ .*time=/);
      const own = globals(lasting.namespace, "eth0");
      await lasting.softnet.program.stop("SIGKILL");
      if (!registry) clearRegistry(lab.host);
      const before = pings.count(/time=/);
      await lasting.plug();
      await until("ping goes on", () => pings.count(/time=/) > before + 3);
      assert.deepEqual(globals(lasting.namespace, "eth0"), own);
      assert.equal(lasting.softnet.program.count(/"message":"binding restored"/) > 0, registry);
      pings.kill();
      // Without it the frame by which softnet learns that there is an address drops, whichever that is.
      assertInnocent(await lasting.softnet.stop(), ...ORDINARY6, ...(registry ? [] : ["nd.source", "nd.target"]));
    });
  }
});

/** A guest whose card stays while its softnet is replaced: behind the card's veth is a small bridge with softnet's TAP. */
class LastingCard {
  readonly lab: Lab;
  readonly namespace: Lab["host"];
  softnet!: Softnet;
  readonly #wire: Lab["host"];

  private constructor(lab: Lab) {
    this.lab = lab;
    this.namespace = lab.namespace("guest");
    this.#wire = lab.namespace("wire");
    this.#wire.sysctl({ "net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1" });
    this.#wire.ipBatch([
      "link add wire0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
      "link set wire0 up",
      `link add port type veth peer name eth0 address 7e:1a:00:00:06:99 netns ${this.namespace.name}`,
      "link set port master wire0 up",
    ]);
  }

  static async create(lab: Lab): Promise<LastingCard> {
    const card = new LastingCard(lab);
    await card.plug();
    card.namespace.ip("link", "set", "eth0", "up");
    return card;
  }

  /** Starts a softnet and puts its TAP behind the card. */
  async plug(): Promise<void> {
    const args = ["--vm-tap", "vm0", "--vm-mac-address", "7e:1a:00:00:06:99", "--bridge", BRIDGE, "--ipv6"];
    this.softnet = Softnet.start(this.lab, this.lab.host, args);
    await this.softnet.ready();
    this.lab.host.ip("link", "set", "vm0", "netns", this.#wire.name);
    // The TAP has the VM's MAC address, which a bridge would take for its own.
    this.#wire.ip("link", "set", "vm0", "address", "02:77:00:00:00:02");
    this.#wire.ip("link", "set", "vm0", "master", "wire0", "up");
  }
}
