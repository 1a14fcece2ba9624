/**
 * A guest that can be paused and whose softnet can be replaced under it: its card is one end of a veth, and behind the
 * other end is a small bridge with softnet's TAP, so that the card never sees its softnet go.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ping } from "./guest.ts";
import type { Namespace } from "./netns.ts";
import { ENVIRONMENT, type Program } from "./program.ts";
import type { RealClient } from "./real-clients.ts";
import { clearRegistry } from "./registry.ts";
import { Softnet } from "./softnet.ts";
import { BRIDGE, type Lab } from "./topology.ts";

const CARD = "eth0";
const TAP = "vm0";
const INNER = "wire0";

export class Machine {
  readonly lab: Lab;
  readonly mac: string;
  readonly namespace: Namespace;
  readonly folder: string;
  softnet: Softnet;
  client: Program | undefined;
  readonly #wire: Namespace;

  private constructor(lab: Lab, mac: string, softnet: Softnet, namespace: Namespace, wire: Namespace) {
    this.lab = lab;
    this.mac = mac;
    this.softnet = softnet;
    this.namespace = namespace;
    this.#wire = wire;
    this.folder = join(lab.directory, "client");
    mkdirSync(this.folder);
  }

  static async create(lab: Lab, mac: string): Promise<Machine> {
    const wire = lab.namespace("wire");
    const namespace = lab.namespace("guest");
    const quiet = { "net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1" };
    wire.sysctl(quiet);
    namespace.sysctl(quiet);
    wire.ipBatch([
      `link add ${INNER} type bridge forward_delay 0 stp_state 0 mcast_snooping 0`,
      `link set ${INNER} up`,
      `link add port type veth peer name ${CARD} address ${mac} netns ${namespace.name}`,
      `link set port master ${INNER} up`,
    ]);
    namespace.ip("link", "set", CARD, "up");
    const machine = new Machine(lab, mac, Machine.#softnet(lab, mac), namespace, wire);
    await machine.#plug();
    return machine;
  }

  static #softnet(lab: Lab, mac: string): Softnet {
    return Softnet.start(lab, lab.host, ["--vm-tap", TAP, "--vm-mac-address", mac, "--bridge", BRIDGE]);
  }

  async #plug(): Promise<void> {
    await this.softnet.ready();
    this.lab.host.ip("link", "set", TAP, "netns", this.#wire.name);
    // The TAP has the VM's MAC address, which a bridge would take for its own.
    this.#wire.ip("link", "set", TAP, "address", "02:77:00:00:00:02");
    this.#wire.ip("link", "set", TAP, "master", INNER, "up");
  }

  /** Starts a DHCP client, which finds what one before it left in the folder. */
  run(client: RealClient): void {
    const [command, ...args] = client.command(this.folder, CARD);
    this.client = this.lab.start(this.namespace, command!, args, { label: client.name });
  }

  /** Ends the client without a word to its server, and forgets the card's address, as a reboot does. */
  async crash(): Promise<void> {
    await this.client?.stop("SIGKILL");
    this.namespace.ip("address", "flush", "dev", CARD);
  }

  /** Nothing of the guest runs any more, and no frame gets in or out. */
  pause(): void {
    this.#signal("STOP");
    this.unplug(true);
  }

  resume(): void {
    this.unplug(false);
    this.#signal("CONT");
  }

  unplug(out: boolean): void {
    this.#wire.ip("link", "set", "port", ...(out ? ["nomaster"] : ["master", INNER]));
  }

  /** The next softnet knows nothing of this one's VM. */
  async restartWithoutRecord(): Promise<void> {
    await this.softnet.program.stop("SIGKILL");
    clearRegistry(this.lab.host);
    // A server's kernel has to look for the guest again, as after a longer while.
    this.lab.host.ip("neigh", "flush", "all");
    this.softnet = Machine.#softnet(this.lab, this.mac);
    await this.#plug();
  }

  get addresses(): string[] {
    interface Link {
      readonly addr_info: readonly { readonly local: string }[];
    }
    return this.namespace
      .ipJson<Link>("-4", "address", "show", "dev", CARD)
      .flatMap((link) => (link.addr_info ?? []).map((info) => info.local));
  }

  /** True when one echo request is answered. */
  ping(address: string): Promise<boolean> {
    return ping(this.namespace, address, 1);
  }

  #signal(signal: "STOP" | "CONT"): void {
    const pids = execFileSync("ip", ["netns", "pids", this.namespace.name], { env: ENVIRONMENT, encoding: "utf8" });
    for (const pid of pids.split("\n")) {
      if (pid === "") continue;
      try {
        process.kill(Number(pid), `SIG${signal}`);
      } catch {
        // It ended just now.
      }
    }
  }
}
