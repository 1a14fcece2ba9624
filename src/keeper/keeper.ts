/**
 * Starts a keeper (script.ts): another user than root, with CAP_NET_ADMIN as the only capability it has or can ever
 * get (setpriv(1)), in a session of its own, so that the terminal's Ctrl-C does not reach it.
 *
 * While softnet runs a keeper can be told one thing: what the sets of its table hold now. One change is under way at a
 * time, and of those that wait only the newest is kept, so that nothing grows however fast they come. A change that nft
 * does not take, or does not answer in time, ends the keeping: what the user closed must not stay open.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { UserError } from "../user-error.ts";
import { ANSWERED, CHANGE, ENDED, GOODBYE, KEEPER_SCRIPT } from "./script.ts";

export interface KeeperOptions {
  /** Where the programs are. */
  readonly setpriv: string;
  readonly nft: string;
  /** Numeric ids of the user that the keeper becomes. */
  readonly uid: number;
  readonly gid: number;
  readonly tap: string;
  /** The table that the rules make, `inet NAME`, and those of its sets that may be changed. */
  readonly table: string;
  readonly sets: readonly string[];
  /** Commands for nft, which take effect as one. */
  readonly rules: readonly string[];
  /** What `accept_redirects` was before softnet turned forwarding on; absent where this keeper need not put it back. */
  readonly redirectsBefore?: string;
}

const PATIENCE = 10_000; // milliseconds for nft's answer, and for the end
/** Milliseconds for the answer to a change: the most rules, on a machine with much else to do. The guard does not wait. */
const PATIENCE_WITH_CHANGE = 30_000;
/** Characters of one change: several times what the most rules of a policy come to. */
const LONGEST_CHANGE = 2 ** 20;
/** As script.ts wants them. */
const WORD = /^[0-9.,-]+$/;
const SHELL = "/bin/sh";
/** What the shell's few commands come from. */
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const CAPABILITY = "-all,+net_admin";

export class Keeper {
  /** Called once when the keeper ends before `close`, or cannot keep the rules as they should be. */
  onEnd: (why: string) => void = () => {};
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  /** Of nft's output: the line that is not whole yet, the first error, and whether it is through with the last commands. */
  #line = "";
  #error: string | undefined;
  #answered = false;
  #complaint = "";
  #ended = false;
  #why = "";
  #closed = false;
  #changed: () => void = () => {};
  /** The change that waits, and when the one under way must have been answered. */
  #next: (() => readonly string[]) | undefined;
  #deadline: NodeJS.Timeout | undefined;

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
    const { setpriv, nft, uid, gid, tap, table, sets, rules, redirectsBefore = "-" } = options;
    const root = [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", `--bounding-set=${CAPABILITY}`];
    // Who is not root, but was given the one capability, can only pass it on.
    const identity = process.geteuid?.() === 0 ? root : [];
    const capabilities = [`--inh-caps=${CAPABILITY}`, `--ambient-caps=${CAPABILITY}`];
    const command = [SHELL, "-c", KEEPER_SCRIPT, "softnet-keeper", nft, tap, table, sets.join(" ")];
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

  /**
   * Has the sets hold these elements, all at once: one word for each set, in the order of `sets`, as nft reads it but
   * without blanks, or "-". `words` is called when its turn comes, if no newer change has come by then. Never throws.
   */
  change(words: () => readonly string[]): void {
    this.#next = words;
    if (this.#deadline === undefined) this.#send();
  }

  /** The TAP is closed: lets it clean up and end; the process lives on until it has. Harmless when called twice. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#deadline);
    this.#child.stdin.end(`${GOODBYE}\n`);
    // It has nothing to wait for; if it does not end all the same, softnet does not wait for it.
    setTimeout(() => {
      this.#child.unref();
      this.#child.stdout.destroy();
      this.#child.stderr.destroy();
    }, PATIENCE).unref();
  }

  #send(): void {
    const words = this.#next;
    this.#next = undefined;
    if (words === undefined || this.#ended || this.#closed) return;
    let line: string;
    try {
      line = lineOf(words());
    } catch (error) {
      this.#end(`a change of policy cannot be told: ${(error as Error).message}`);
      return;
    }
    this.#deadline = setTimeout(() => this.#end("nft gives no answer to a change of policy"), PATIENCE_WITH_CHANGE);
    this.#child.stdin.write(line);
  }

  async #answer(): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    while (!this.#ended && !this.#answered && this.#error === undefined) {
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
      if (line.startsWith(ANSWERED)) this.#proceed();
      if (line === ENDED) this.#end("nft ended");
    }
    if (this.#deadline !== undefined && this.#error !== undefined) {
      this.#end(`nft does not take a change of policy: ${this.#error}`);
    }
    this.#changed();
  }

  /** nft is through with what it was told last. */
  #proceed(): void {
    this.#answered = true;
    if (this.#deadline === undefined) return;
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.#send();
  }

  #end(why: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#why = why;
    clearTimeout(this.#deadline);
    this.#changed();
    if (!this.#closed) this.onEnd(why);
  }
}

/** The line that tells a change. Throws when the keeper would not take it. */
function lineOf(words: readonly string[]): string {
  const line = words.join(" ");
  if (!words.every((word) => WORD.test(word))) throw new Error(`no addresses: ${line.slice(0, 100)}`);
  if (line.length > LONGEST_CHANGE) throw new Error(`${line.length} characters are too many`);
  return `${CHANGE} ${line}\n`;
}
