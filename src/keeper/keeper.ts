/**
 * Starts the keeper (script.ts): another user than root, with CAP_NET_ADMIN as the only capability it has or can ever
 * get (setpriv(1)), in a session of its own, so that the terminal's Ctrl-C does not reach it.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { UserError } from "../user-error.ts";
import { ANSWERED, ENDED, GOODBYE, KEEPER_SCRIPT } from "./script.ts";

export interface KeeperOptions {
  /** Where the programs are. */
  readonly setpriv: string;
  readonly nft: string;
  /** Numeric ids of the user that the keeper becomes. */
  readonly uid: number;
  readonly gid: number;
  readonly tap: string;
  /** Commands for nft, which take effect as one. */
  readonly rules: readonly string[];
  /** What `accept_redirects` was before softnet turned forwarding on; absent where it did not. */
  readonly redirectsBefore?: string;
}

const PATIENCE = 10_000; // milliseconds for nft's answer, and for the end
const SHELL = "/bin/sh";
/** What the shell's few commands come from. */
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const CAPABILITY = "-all,+net_admin";

export class Keeper {
  /** Called once when the keeper ends before `close`. */
  onEnd: (why: string) => void = () => {};
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  /** Of nft's output: the line that is not whole yet, the first error, and whether it is through with the rules. */
  #line = "";
  #error: string | undefined;
  #answered = false;
  #complaint = "";
  #ended = false;
  #why = "";
  #closed = false;
  #changed: () => void = () => {};

  /** Starts it and waits until the rules stand. Throws UserError with nft's words when they do not. */
  static async start(options: KeeperOptions): Promise<Keeper> {
    const keeper = new Keeper(options);
    try {
      await keeper.#answer();
    } catch (error) {
      keeper.close();
      throw error;
    }
    return keeper;
  }

  private constructor(options: KeeperOptions) {
    const { setpriv, nft, uid, gid, tap, rules, redirectsBefore = "-" } = options;
    const root = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", `--bounding-set=${CAPABILITY}`];
    // Who is not root, but was given the one capability, can only pass it on.
    const identity = process.geteuid?.() === 0 ? root : [];
    const capabilities = [`--inh-caps=${CAPABILITY}`, `--ambient-caps=${CAPABILITY}`];
    const command = [SHELL, "-c", KEEPER_SCRIPT, "softnet-keeper", nft, tap];
    this.#child = spawn(setpriv, [...identity, ...capabilities, "--no-new-privs", ...command], {
      cwd: "/",
      env: ENVIRONMENT,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => this.#hear(text));
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#complaint ||= text.split("\n")[0]!; // setpriv's: the script says nothing
    });
    this.#child.on("error", (error) => this.#end(error.message));
    this.#child.on("exit", (code, signal) => this.#end(signal ?? `exit status ${code}`));
    this.#child.stdin.on("error", () => {}); // its end is told by `exit`
    this.#child.stdin.write(`${redirectsBefore}\n${rules.join("; ")}\n`);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The TAP is closed: lets it clean up and end; the process lives on until it has. Harmless when called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#child.stdin.end(`${GOODBYE}\n`);
    // It has nothing to wait for; if it does not end all the same, softnet does not wait for it.
    setTimeout(() => {
      this.#child.unref();
      this.#child.stdout.destroy();
      this.#child.stderr.destroy();
    }, PATIENCE).unref();
  }

  async #answer(): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    while (!this.#ended && !this.#answered) {
      const left = deadline - performance.now();
      if (left <= 0) throw new UserError("nft gives no answer; is another program changing rules all the time?");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const error = this.#error;
    if (error !== undefined) throw new UserError(`nft does not take the VM's rules: ${error}`);
    if (this.#ended) throw new UserError(`the keeper of the VM's rules cannot start: ${this.#complaint || this.#why}`);
  }

  /** nft repeats all of the rules for each one that it does not take: only lines that say something are kept. */
  #hear(text: string): void {
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop()!;
    for (const line of lines) {
      this.#error ??= /^Error: (.*)$/.exec(line)?.[1];
      if (line.startsWith(ANSWERED)) this.#answered = true;
      if (line === ENDED) this.#end("nft ended");
    }
    this.#changed();
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#why = why;
    this.#changed();
    if (!this.#closed) this.onEnd(why);
  }
}
