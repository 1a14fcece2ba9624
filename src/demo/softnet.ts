/** Runs softnet as users do: as a process on the host; the demo reads its log. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { startIn, stop } from "./child.ts";
import { type Cleanup, Interrupted } from "./cleanup.ts";
import type { Namespace } from "./namespace.ts";

/** Milliseconds within which it must start on a busy machine; on an idle one it takes 0.2 s. */
const START_TIMEOUT = 120_000;
/** Milliseconds after which the log has every drop, on an idle machine: it prints counts once a second. */
const LOG_DELAY = 1_300;
/** The same on a busy machine. */
const LONGEST_LOG_DELAY = 30_000;

export type Drops = Readonly<Record<string, number>>;

/** The keys of a log line that are not counts. */
const NO_COUNTS: ReadonlySet<string> = new Set(["time", "level", "message", "lines-left-out"]);

export interface SoftnetPlan {
  /** Name of the TAP. */
  readonly tap: string;
  /** The guest's address. */
  readonly mac: string;
  /** The options that choose the network. */
  readonly network: readonly string[];
}

export class Softnet {
  readonly #cleanup: Cleanup;
  readonly #drops: Record<string, number> = {};
  /** Number of lines with counts so far. */
  #sums = 0;
  #changed: () => void = () => {};
  #gateway: string | undefined;
  #ended = false;
  #lastLine = "";

  private constructor(child: ChildProcess, cleanup: Cleanup) {
    this.#cleanup = cleanup;
    createInterface({ input: child.stderr! }).on("line", (line) => this.#read(line));
    child.on("close", () => {
      this.#ended = true;
      this.#changed();
    });
  }

  /** Starts it between a TAP, which it makes, and the network that it is told to be on; resolves when it forwards. */
  static async start(host: Namespace, { tap, mac, network }: SoftnetPlan, cleanup: Cleanup): Promise<Softnet> {
    const args = ["--vm-tap", tap, "--vm-mac-address", mac, ...network, "--log-format", "json"];
    const child = startIn(host, "../main", args, { stdio: ["ignore", "ignore", "pipe"] }, cleanup);
    const softnet = new Softnet(child, cleanup);
    // Runs before the kill that startIn noted: softnet ends in order.
    cleanup.add(() => stop(child, "SIGINT"));
    await softnet.#until(() => softnet.#gateway !== undefined, START_TIMEOUT);
    if (softnet.#gateway === undefined) throw new Error(`softnet did not start: ${softnet.#lastLine}`);
    return softnet;
  }

  /** The gateway as its log names it: an address, where the network is softnet's own. */
  get gateway(): string {
    return this.#gateway ?? "";
  }

  /** Frames dropped so far, by reason, according to the log. */
  get drops(): Drops {
    return { ...this.#drops };
  }

  /** Frames dropped since `before`: waits for the log's next counts, or until it is certain that none will follow. */
  async dropsSince(before: Drops, reasons: readonly string[]): Promise<Drops> {
    const sums = this.#sums;
    const since = () => difference(this.#drops, before);
    const isTold = () => reasons.every((reason) => since()[reason] !== undefined);
    const hasSum = () => this.#sums > sums && isTold();
    await this.#until(hasSum, LOG_DELAY);
    await this.#until(isTold, LONGEST_LOG_DELAY - LOG_DELAY);
    return since();
  }

  #read(line: string): void {
    let entry: Record<string, unknown>;
    try {
      entry = JSON.parse(line);
    } catch {
      this.#lastLine = line;
      return;
    }
    this.#lastLine = String(entry.message);
    if (entry.message === "started") this.#gateway = String(entry.gateway);
    if (entry.message === "first drop") this.#count(String(entry.reason), 1);
    if (entry.message === "drops") {
      this.#sums++;
      for (const [key, value] of Object.entries(entry)) if (!NO_COUNTS.has(key)) this.#count(key, Number(value));
    }
    this.#changed();
  }

  #count(reason: string, count: number): void {
    this.#drops[reason] = (this.#drops[reason] ?? 0) + count;
  }

  /** Resolves when the condition holds, or `timeout` milliseconds have passed. Throws when softnet ends meanwhile. */
  async #until(condition: () => boolean, timeout: number): Promise<void> {
    const deadline = performance.now() + timeout;
    for (;;) {
      const rest = deadline - performance.now();
      if (condition() || rest <= 0) return;
      if (this.#ended) {
        throw this.#cleanup.begun ? new Interrupted() : new Error(`softnet ended unexpectedly: ${this.#lastLine}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, rest);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function difference(now: Drops, before: Drops): Drops {
  const entries = Object.entries(now).map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, count]) => count > 0));
}
