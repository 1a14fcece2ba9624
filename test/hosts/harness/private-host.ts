/**
 * The lab's host with files of its own, so that real firewalls can be installed on it: their configuration, their state
 * and their processes are gone with the test, and the machine's stay as they are (tools/private-host.sh).
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Output, Program } from "../../lab/harness/program.ts";
import { run, until } from "../../lab/harness/program.ts";
import type { Lab } from "../../lab/harness/topology.ts";
import { PATIENCE } from "../../support/patience.ts";

const SCRIPT = fileURLToPath(new URL("../tools/private-host.sh", import.meta.url));

export class PrivateHost {
  readonly lab: Lab;
  /** The first process in its namespace. */
  readonly #pid: number;

  static async open(lab: Lab): Promise<PrivateHost> {
    const flags = ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];
    const holder = lab.start(lab.host, "unshare", [...flags, "/bin/sh", SCRIPT], { label: "private host" });
    await holder.line(/^ready$/, PATIENCE);
    return new PrivateHost(lab, holder);
  }

  private constructor(lab: Lab, holder: Program) {
    this.lab = lab;
    const [child] = readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, "latin1").trim().split(" ");
    this.#pid = Number(child);
  }

  /** Runs a line of shell to its end; throws when it fails. Returns its output. */
  async run(command: string): Promise<string> {
    const { code, stdout, stderr } = await this.attempt(command);
    if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}\n${stdout}`);
    return stdout;
  }

  /** Runs a line of shell to its end. */
  async attempt(command: string): Promise<Output> {
    const [first, ...rest] = this.#within(command);
    return await run(first!, rest, PATIENCE);
  }

  /** Starts a program that ends with the lab. */
  start(command: string): Program {
    const [first, ...rest] = this.#within(`exec ${command}`);
    return this.lab.start(this.lab.host, first!, rest, { label: command.split(" ")[0]! });
  }

  /** Waits until a line of shell succeeds. */
  async until(command: string): Promise<void> {
    await until(`${command} succeeds`, async () => (await this.attempt(command)).code === 0, PATIENCE);
  }

  #within(command: string): string[] {
    return ["nsenter", `--target=${this.#pid}`, "--mount", "--pid", "--net", "--", "/bin/sh", "-ec", command];
  }
}
