/** softnet between descriptors that another program made, as Tart starts it: tools/cable.py makes them. */
import type { Namespace } from "./netns.ts";
import { type Exit, type Program, until } from "./program.ts";
import { Softnet, softnetArguments } from "./softnet.ts";
import { type Lab, tool } from "./topology.ts";

export interface CableOptions {
  /** Makes `{vm}`. */
  readonly vm?: boolean;
  /** Makes `{host}`. */
  readonly host?: boolean;
  /** Makes `{control}`, a pair of stream sockets; "stdout": softnet's end is its standard output. */
  readonly control?: boolean | "stdout";
  /** True: another process keeps copies of softnet's own ends open. */
  readonly keep?: boolean;
  /** Runs softnet as this user. */
  readonly uid?: number;
  /** What to run instead of softnet from source. */
  readonly program?: readonly string[];
  /** A command that runs all of it. */
  readonly within?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

interface Message {
  readonly started?: string;
  readonly pid?: number;
  readonly exited?: string;
  readonly code?: number;
}

export class Cable {
  readonly softnet: Softnet;
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
    this.softnet = new Softnet(program, {
      signal: async (signal) => void process.kill(await this.pid("softnet"), signal),
      ended: (timeout) => this.ended("softnet", timeout),
    });
  }

  /** Starts softnet in a namespace; `{vm}` and `{host}` in `args` are its ends. Everything ends with the lab. */
  static start(lab: Lab, namespace: Namespace, args: readonly string[], options: CableOptions): Cable {
    const flags = [];
    if (options.vm) flags.push("--vm");
    if (options.host) flags.push("--host");
    if (options.control) flags.push("--control");
    if (options.control === "stdout") flags.push("--stdout");
    if (options.keep) flags.push("--keep");
    if (options.uid !== undefined) flags.push("--uid", String(options.uid));
    const command = softnetArguments(args, options.program);
    const [first, ...rest] = [...(options.within ?? []), "/usr/bin/python3", tool("cable.py"), ...flags, "--"];
    const how = { input: true, label: "softnet", ...(options.env && { env: options.env }) };
    const cable = new Cable(lab.start(namespace, first!, [...rest, ...command], how));
    lab.beforeClose(() => cable.kill());
    return cable;
  }

  /** Starts a program at the far ends, `{vm}`, `{host}` and `{control}` in its arguments, and answers its process id. */
  async run(name: string, command: readonly string[]): Promise<number> {
    this.#program.write(`${JSON.stringify({ run: name, command })}\n`);
    return await this.pid(name);
  }

  /** Closes the launcher's own copy of a far end. */
  close(end: "vm" | "host" | "control"): void {
    this.#program.write(`${JSON.stringify({ close: end })}\n`);
  }

  /** Waits for the start of a program. */
  async pid(name: string): Promise<number> {
    const message = await until(`${name} starts`, () => this.#messages.find((one) => one.started === name));
    return message.pid!;
  }

  /** Waits for the end of a program. */
  async ended(name: string, timeout?: number): Promise<Exit> {
    const find = () => this.#messages.find((one) => one.exited === name);
    const { code } = await until(`${name} ends\n${this.#program.text()}`, find, timeout);
    return { code: code!, signal: null };
  }

  /** What the far programs printed so far. */
  get printed(): readonly string[] {
    return this.#program.stdout.filter((line) => !line.startsWith("{"));
  }

  /** Waits for a line that a far program printed. */
  async line(pattern: RegExp, timeout?: number): Promise<void> {
    await until(`a line ${pattern}`, () => this.#program.stdout.some((line) => pattern.test(line)), timeout);
  }

  /** Kills a far program and waits for its end. */
  async stop(name: string): Promise<void> {
    process.kill(await this.pid(name), "SIGKILL");
    await this.ended(name);
  }

  /** Kills what still runs. */
  kill(): void {
    const ended = new Set(this.#messages.map((message) => message.exited));
    for (const { started, pid } of this.#messages) {
      if (started === undefined || ended.has(started)) continue;
      try {
        process.kill(pid!, "SIGKILL");
      } catch {
        // It ended just now.
      }
    }
  }

  get #messages(): Message[] {
    return this.#program.stdout.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Message);
  }
}
