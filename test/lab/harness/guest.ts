/**
 * A guest: a network namespace with a network card. Bare, the card is a veth on the bridge; behind softnet it is the TAP
 * that softnet made or found, moved into the namespace. Its TCP/IP stack is the kernel's.
 *
 * SOFTNET_LAB_BARE=1 makes every guest that does not say otherwise a bare one: when a test fails there too, it is the
 * test's fault or the tool's, not softnet's.
 */
import { join } from "node:path";
import { type Card, cardOfAll, makeCard } from "./attached.ts";
import type { Namespace } from "./netns.ts";
import type { Program } from "./program.ts";
import { offloadArguments, Softnet, type Summary } from "./softnet.ts";
import { BRIDGE, GATEWAY, INTERNET, type Lab, tool } from "./topology.ts";

export interface GuestOptions {
  /** True: no softnet between the guest and the bridge. */
  readonly bare?: boolean;
  /** Softnet is attached to such a card, which was there before. */
  readonly card?: Card | undefined;
  /** The card's name; default: one of its own for each guest of the process. */
  readonly link?: string;
  /** The card's MAC address; default: one of its own for each guest of the lab. */
  readonly mac?: string;
  /** More options for softnet. */
  readonly args?: readonly string[];
  /** A static address on the card, with its prefix length, and a default route through the gateway. */
  readonly address?: string;
}

let created = 0;

export class Guest {
  readonly lab: Lab;
  readonly namespace: Namespace;
  /** Name of the card in the guest's namespace. */
  readonly link: string;
  readonly mac: string;
  /** Absent in front of a bare guest. */
  readonly softnet: Softnet | undefined;

  private constructor(lab: Lab, namespace: Namespace, link: string, mac: string, softnet: Softnet | undefined) {
    this.lab = lab;
    this.namespace = namespace;
    this.link = link;
    this.mac = mac;
    this.softnet = softnet;
  }

  /** A guest whose card another program put into its namespace. */
  static at(lab: Lab, namespace: Namespace, link: string, mac: string, softnet: Softnet): Guest {
    return new Guest(lab, namespace, link, mac, softnet);
  }

  /** A guest on the lab's bridge. */
  static async create(lab: Lab, options: GuestOptions): Promise<Guest> {
    const number = ++created;
    const link = options.link ?? `vm${number}`;
    const mac = options.mac ?? `7e:1a:00:00:00:${number.toString(16).padStart(2, "0")}`;
    const namespace = lab.namespace(link);
    const card = options.card ?? cardOfAll();
    const more = [...offloadArguments(), ...(options.args ?? [])];
    let softnet: Softnet | undefined;
    if (options.bare ?? process.env.SOFTNET_LAB_BARE === "1") {
      lab.host.ipBatch([
        `link add port${number} type veth peer name ${link} address ${mac} netns ${namespace.name}`,
        `link set port${number} master ${BRIDGE} up`,
      ]);
    } else if (card !== undefined) {
      const port = await makeCard(lab, card, { namespace, link, mac, bridged: true });
      softnet = Softnet.start(lab, lab.host, ["attach", port, "--vm-mac-address", mac, ...more]);
      await softnet.ready();
    } else {
      const args = ["--vm-tap", link, "--vm-mac-address", mac, "--bridge", BRIDGE, ...more];
      softnet = Softnet.start(lab, lab.host, args);
      await softnet.ready();
      lab.host.ip("link", "set", link, "netns", namespace.name);
    }
    const guest = new Guest(lab, namespace, link, mac, softnet);
    namespace.ip("link", "set", link, "up");
    if (options.address !== undefined) guest.setAddress(options.address);
    return guest;
  }

  /** Gives the card an address, `10.77.0.5/24`, and a default route. */
  setAddress(address: string, gateway = GATEWAY): void {
    this.namespace.ip("address", "replace", address, "dev", this.link);
    this.namespace.ip("route", "replace", "default", "via", gateway);
  }

  /** The card's IPv4 addresses. */
  addresses(): string[] {
    interface Link {
      readonly addr_info: readonly { readonly local: string }[];
    }
    return this.namespace
      .ipJson<Link>("-4", "address", "show", "dev", this.link)
      .flatMap((link) => link.addr_info.map((info) => info.local));
  }

  /** The MAC address that the guest believes an address to have. */
  neighbourMac(address: string): string | undefined {
    return neighbourMac(this.namespace, address);
  }

  /** dhclient's lease file of this guest. */
  get leaseFile(): string {
    return join(this.lab.directory, `dhclient-${this.link}.leases`);
  }

  start(command: string, args: readonly string[]): Program {
    return this.lab.start(this.namespace, command, args);
  }

  /** True when one of `count` echo requests is answered. */
  ping(address: string, count = 3): Promise<boolean> {
    return ping(this.namespace, address, count);
  }

  /** The address that a DNS server tells for a name. */
  async resolve(server: string, protocol: "udp" | "tcp" = "udp"): Promise<string> {
    const { code, stdout, stderr } = await this.namespace.run(process.execPath, [tool("resolve.ts"), server, protocol]);
    if (code !== 0) throw new Error(`no answer from the DNS server ${server}: ${stderr}`);
    return stdout.trim();
  }

  /** Downloads `bytes` bytes over TCP and answers how many arrived intact. */
  async download(bytes: number, server: string = INTERNET, timeout?: number): Promise<number> {
    const { stdout, stderr } = await this.namespace.run(
      process.execPath,
      [tool("download.ts"), `http://${server}/${bytes}`],
      timeout,
    );
    if (stdout.trim() === "") throw new Error(`no download from ${server}: ${stderr}`);
    return Number(stdout);
  }

  /** Stops softnet and answers its counters. */
  async stop(): Promise<Summary> {
    if (this.softnet === undefined) return { exit: { code: 0, signal: null }, drops: {} };
    return await this.softnet.stop();
  }
}

/** The MAC address that a namespace's kernel believes an address to have. */
export function neighbourMac(namespace: Namespace, address: string): string | undefined {
  return namespace.ipJson<{ dst: string; lladdr?: string }>("neighbour", "show", address)[0]?.lladdr;
}

/** True when one of `count` echo requests is answered. */
export async function ping(namespace: Namespace, address: string, count = 3): Promise<boolean> {
  const args = ["-n", "-q", "-c", String(count), "-i", "0.2", "-W", "2", address];
  return (await namespace.run("ping", args)).code === 0;
}
