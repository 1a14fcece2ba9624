/** Long-running programs of a test: their lines are kept and waited for, and they are ended by process id. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { PATIENCE } from "../../support/patience.ts";

export { sleep, until } from "../../support/patience.ts";

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a program printed until it ended. */
export interface Output extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** A PATH that finds administration tools, whatever the caller's is; softnet is started by root itself, not through sudo. */
export const ENVIRONMENT: NodeJS.ProcessEnv = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SUDO_"))),
  PATH: `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`,
  LC_ALL: "C",
};

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** True gives the program a standard input that `write` fills; else it reads /dev/null. */
  readonly input?: boolean;
  /** What error messages call it; default: the command's name. */
  readonly label?: string;
}

export class Program {
  readonly label: string;
  /** Every line so far. */
  readonly stdout: string[] = [];
  readonly stderr: string[] = [];
  /** Both, in the order of arrival. */
  readonly lines: string[] = [];
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
  readonly #child: ChildProcess;
  readonly #wakers = new Set<() => void>();

  constructor(command: string, args: readonly string[], options: StartOptions = {}) {
    this.label = options.label ?? command;
    const child = spawn(command, args, {
      env: { ...ENVIRONMENT, ...options.env },
      stdio: [options.input ? "pipe" : "ignore", "pipe", "pipe"],
    });
    this.#child = child;
    child.stdin?.on("error", () => {});
    createInterface({ input: child.stdout! }).on("line", (line) => this.#add(this.stdout, line));
    createInterface({ input: child.stderr! }).on("line", (line) => this.#add(this.stderr, line));
    this.exited = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null) => {
        this.exit = { code, signal };
        this.#wake();
        resolve(this.exit);
      };
      child.on("error", (error) => {
        this.#add(this.stderr, String(error));
        end(127, null);
      });
      child.on("close", end);
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits for a line that matches, from line `from` on; throws when the program ends before, or after `timeout` ms. */
  async line(pattern: RegExp, timeout = PATIENCE, from = 0): Promise<string> {
    const deadline = Date.now() + timeout;
    for (let next = from; ; ) {
      for (; next < this.lines.length; next++) {
        if (pattern.test(this.lines[next]!)) return this.lines[next]!;
      }
      const left = deadline - Date.now();
      if (this.exit !== undefined) throw new Error(`${this.label} ended before ${pattern}\n${this.text()}`);
      if (left <= 0) throw new Error(`${this.label}: no line ${pattern} in ${timeout} ms\n${this.text()}`);
      await this.#change(left);
    }
  }

  /** How many lines match so far. */
  count(pattern: RegExp): number {
    return this.lines.filter((line) => pattern.test(line)).length;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.exit === undefined) this.#child.kill(signal);
  }

  /** Sends a signal and waits for the end; after `timeout` ms it is killed and that is an error. */
  async stop(signal: NodeJS.Signals = "SIGTERM", timeout = PATIENCE): Promise<Exit> {
    this.signal(signal);
    return await this.ended(timeout);
  }

  /** Waits for the end; after `timeout` ms the program is killed and that is an error. */
  async ended(timeout = PATIENCE): Promise<Exit> {
    const deadline = Date.now() + timeout;
    while (this.exit === undefined && Date.now() < deadline) await this.#change(deadline - Date.now());
    if (this.exit !== undefined) return this.exit;
    this.kill();
    throw new Error(`${this.label} did not end within ${timeout} ms\n${this.text()}`);
  }

  kill(): void {
    this.signal("SIGKILL");
  }

  /** The last lines, for messages. */
  text(): string {
    return this.lines
      .slice(-40)
      .map((line) => `  | ${line.slice(0, 400)}`)
      .join("\n");
  }

  #add(list: string[], line: string): void {
    list.push(line);
    this.lines.push(line);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#wakers) wake();
    this.#wakers.clear();
  }

  #change(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeout);
      this.#wakers.add(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

/** Runs a program to its end; throws when it takes longer than `timeout` ms. */
export async function run(command: string, args: readonly string[], timeout = PATIENCE): Promise<Output> {
  const program = new Program(command, args);
  const exit = await program.ended(timeout);
  return { ...exit, stdout: program.stdout.join("\n"), stderr: program.stderr.join("\n") };
}
