/** A guest that outlives its softnet: its card is connected by a socket, again and again. */
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Guest } from "./guest.ts";
import { type Program, until } from "./program.ts";
import { Softnet } from "./softnet.ts";
import { BRIDGE, type Lab, tool } from "./topology.ts";

export const LASTING_MAC = "7e:1a:00:00:aa:01";
/** Whom softnet becomes. */
const NOBODY = 65_534;

/** A guest whose card stays while its softnet is ended and started again. */
export class LastingGuest {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly card: Program;
  readonly #args: readonly string[];
  softnet: Softnet;
  #connections = 0;

  private constructor(lab: Lab, guest: Guest, card: Program, softnet: Softnet, args: readonly string[]) {
    this.lab = lab;
    this.guest = guest;
    this.card = card;
    this.softnet = softnet;
    this.#args = args;
  }

  static async create(lab: Lab, more: readonly string[] = []): Promise<LastingGuest> {
    const folder = join(lab.directory, "sockets");
    mkdirSync(folder);
    chownSync(folder, NOBODY, NOBODY); // whom softnet becomes
    const args = ["--vm-socket", join(folder, "vm"), "--vm-mac-address", LASTING_MAC, "--bridge", BRIDGE, ...more];
    const namespace = lab.namespace("lasting");
    const card = lab.start(namespace, "/usr/bin/python3", [tool("card.py"), "vm0", LASTING_MAC, join(folder, "vm")]);
    await card.line(/^ready$/);
    const softnet = Softnet.start(lab, lab.host, args);
    const lasting = new LastingGuest(lab, Guest.at(lab, namespace, "vm0", LASTING_MAC, softnet), card, softnet, args);
    await lasting.#connected();
    return lasting;
  }

  /** Starts the next softnet. */
  async again(): Promise<void> {
    this.softnet = Softnet.start(this.lab, this.lab.host, this.#args);
    await this.#connected();
  }

  async #connected(): Promise<void> {
    await this.softnet.ready();
    this.#connections++;
    await until("the card is in", () => this.card.count(/^connected$/) === this.#connections);
  }

  restored(): boolean {
    return this.softnet.records.some(({ message }) => message === "binding restored");
  }
}
