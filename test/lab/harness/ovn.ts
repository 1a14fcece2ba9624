/**
 * OVN's port security as a second opinion on what a VM sends: its databases, northd and controller, and Open vSwitch with
 * simulated ports (`--enable-dummy`), so that no frame is sent at all. A frame is traced through the flows that OVN made for
 * the VM's port (ovs-appctl(8), ofproto/trace). Everything is in a network namespace and a folder of the lab's.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./netns.ts";
import { until } from "./program.ts";
import type { Lab } from "./topology.ts";

const SCHEMAS = [
  ["nb.db", "/usr/share/ovn/ovn-nb.ovsschema"],
  ["sb.db", "/usr/share/ovn/ovn-sb.ovsschema"],
  ["conf.db", "/usr/share/openvswitch/vswitch.ovsschema"],
] as const;
const SWITCH = "br-int";
/** Seconds for OVN's flows to be there. */
const WAIT = 120;

export interface OvnPort {
  readonly mac: string;
  /** Beside the link-local one that is made of the MAC address. */
  readonly address: string;
}

export class Ovn {
  readonly #namespace: Namespace;
  readonly #folder: string;
  /** The number of the network's port in traced actions. */
  #network = "";

  private constructor(namespace: Namespace, folder: string) {
    this.#namespace = namespace;
    this.#folder = folder;
  }

  /** A switch with the VM's port, which has port security, and one to the network, which has none. */
  static async start(lab: Lab, port: OvnPort): Promise<Ovn> {
    const folder = join(lab.directory, "ovn");
    mkdirSync(folder);
    const ovn = new Ovn(lab.namespace("judge"), folder);
    const env = ovn.#environment();
    const socket = (name: string): string => `unix:${join(folder, name)}`;
    const files = SCHEMAS.map(([name]) => join(folder, name));
    for (const [name, schema] of SCHEMAS) await ovn.#run("ovsdb-tool", "create", join(folder, name), schema);
    const start = (program: string, ...args: readonly string[]): void => {
      lab.start(ovn.#namespace, program, args, { env });
    };
    const remotes = ["nb", "sb", "db"].map((name) => `--remote=p${socket(`${name}.sock`)}`);
    start("ovsdb-server", ...remotes, `--unixctl=${join(folder, "databases.ctl")}`, ...files);
    const configure = (...args: readonly string[]) => ovn.#run("ovs-vsctl", `--db=${socket("db.sock")}`, ...args);
    await until(
      "the databases are there",
      async () => (await ovn.#attempt("ovs-vsctl", `--db=${socket("db.sock")}`, "--no-wait", "init")).code === 0,
    );
    const control = `--unixctl=${join(folder, "switch.ctl")}`;
    start("ovs-vswitchd", "--enable-dummy=override", "--disable-system", control, socket("db.sock"));
    const ids = [
      "system-id=judge",
      `ovn-remote=${socket("sb.sock")}`,
      "ovn-encap-type=geneve",
      "ovn-encap-ip=127.0.0.1",
    ];
    await configure("set", "Open_vSwitch", ".", ...ids.map((id) => `external_ids:${id.replace(/=(.*)$/, '="$1"')}`));
    await configure("add-br", SWITCH, "--", "set", "bridge", SWITCH, "fail-mode=secure", "datapath_type=dummy");
    for (const name of ["vm", "net"]) {
      await configure(
        "add-port",
        SWITCH,
        name,
        "--",
        "set",
        "interface",
        name,
        "type=dummy",
        `external_ids:iface-id=${name}`,
      );
    }
    const north = `--ovnnb-db=${socket("nb.sock")}`;
    start("ovn-northd", north, `--ovnsb-db=${socket("sb.sock")}`, `--unixctl=${join(folder, "northd.ctl")}`);
    start("ovn-controller", socket("db.sock"));
    const own = `${port.mac} ${port.address}`;
    const words = ["ls-add ls", "lsp-add ls vm", "lsp-add ls net", "lsp-set-addresses net unknown"].map((line) =>
      line.split(" "),
    );
    const secured = [
      ["lsp-set-addresses", "vm", own],
      ["lsp-set-port-security", "vm", own],
    ];
    const commands = [...words, ...secured].flatMap((line) => ["--", ...line]).slice(1);
    await ovn.#run("ovn-nbctl", `--db=${socket("nb.sock")}`, "--wait=hv", `--timeout=${WAIT}`, ...commands);
    const shown = await ovn.#run("ovs-appctl", "-t", join(folder, "switch.ctl"), "dpif/show");
    ovn.#network = /^\s*net \d+\/(\d+):/m.exec(shown)?.[1] ?? "";
    assert.notEqual(ovn.#network, "", shown);
    return ovn;
  }

  /** Whether a frame of the VM's reaches the network. */
  async passes(frame: Uint8Array): Promise<boolean> {
    const hex = Buffer.from(frame).toString("hex");
    const control = join(this.#folder, "switch.ctl");
    const text = await this.#run("ovs-appctl", "-t", control, "ofproto/trace", SWITCH, "in_port=vm", hex);
    const actions = /^Datapath actions: (.*)$/m.exec(text)?.[1];
    assert.ok(actions !== undefined, text);
    // Of what else is done, such as telling the controller of MLD, a number stands in brackets.
    return actions
      .replace(/\([^()]*(\([^()]*\)[^()]*)*\)/g, "")
      .split(",")
      .includes(this.#network);
  }

  #environment(): NodeJS.ProcessEnv {
    const names = ["OVS_RUNDIR", "OVN_RUNDIR", "OVS_LOGDIR", "OVN_LOGDIR", "OVS_DBDIR", "OVN_DBDIR", "OVS_SYSCONFDIR"];
    return Object.fromEntries(names.map((name) => [name, this.#folder]));
  }

  async #run(command: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#attempt(command, ...args);
    assert.equal(code, 0, `${command} ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  #attempt(command: string, ...args: readonly string[]) {
    const env = Object.entries(this.#environment()).map(([name, value]) => `${name}=${value}`);
    return this.#namespace.run("env", [...env, command, ...args], WAIT * 1000);
  }
}
