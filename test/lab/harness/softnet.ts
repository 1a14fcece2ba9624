/**
 * softnet as its users meet it: a program with options, a log on standard error and an exit code.
 *
 * SOFTNET_LAB_PROGRAM names another command to test, for example `node dist/main.js` or a packaged executable.
 * SOFTNET_LAB_OFFLOADS=off gives every guest's softnet `--no-offloads`, so that each scenario of the lab can be played without
 * large frames too; those about large frames need them.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Namespace } from "./netns.ts";
import type { Exit, Program, StartOptions } from "./program.ts";
import type { Lab } from "./topology.ts";

/** One line of the JSON log. */
export type LogRecord = Readonly<Record<string, unknown>>;

/**
 * Drop reasons that no ordinary guest escapes: what it sends and hears at boot (IPv6, IGMP, multicast), and frames for
 * others that its bridge floods to it.
 */
const ORDINARY = [
  "ethernet.ipv6",
  "ethernet.destination",
  "ipv4.igmp",
  "dhcp.other-client",
  "policy.multicast",
  "policy.broadcast",
];

/** softnet's command with these arguments. */
export function softnetCommand(args: readonly string[], program?: readonly string[]): string[] {
  if (program !== undefined) return [...program, ...args];
  const other = process.env.SOFTNET_LAB_PROGRAM;
  const main = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
  return [...(other ? other.split(" ") : [process.execPath, main]), ...args];
}

/** What SOFTNET_LAB_OFFLOADS says. */
export function offloadArguments(): string[] {
  return process.env.SOFTNET_LAB_OFFLOADS === "off" ? ["--no-offloads"] : [];
}

/** The command that filters, with a detailed JSON log. */
export function softnetArguments(args: readonly string[], program?: readonly string[]): string[] {
  return softnetCommand([...args, "--log-format", "json", "--log-level", "debug"], program);
}

/** What a stopped softnet tells about its work. */
export interface Summary {
  readonly exit: Exit;
  /** Dropped frames by reason, both directions together. */
  readonly drops: Readonly<Record<string, number>>;
}

/** How to end softnet when it is not the program itself that was started. */
export interface Control {
  signal(signal: NodeJS.Signals): void | Promise<void>;
  ended(timeout?: number): Promise<Exit>;
}

export class Softnet {
  readonly program: Program;
  readonly #control: Control;

  constructor(program: Program, control: Control = program) {
    this.program = program;
    this.#control = control;
  }

  /** Starts softnet in a namespace; it ends with the lab. */
  static start(lab: Lab, namespace: Namespace, args: readonly string[], options: StartOptions = {}): Softnet {
    const [command, ...rest] = softnetArguments(args);
    return new Softnet(lab.start(namespace, command!, rest, { label: "softnet", ...options }));
  }

  /** Waits until it forwards frames. */
  async ready(): Promise<void> {
    await this.program.line(/"message":"started"/);
  }

  /** The log so far. */
  get records(): LogRecord[] {
    return this.program.stderr.flatMap((line) => {
      try {
        return [JSON.parse(line) as LogRecord];
      } catch {
        return [];
      }
    });
  }

  /** Lines on standard error that are no JSON: what a person would read as an error. */
  get errors(): string[] {
    return this.program.stderr.filter((line) => !line.startsWith("{"));
  }

  /** Ends it as its callers do, and answers its counters. */
  async stop(signal: NodeJS.Signals = "SIGINT"): Promise<Summary> {
    await this.#control.signal(signal);
    return await this.ended();
  }

  /** Waits until it ends by itself, and answers its counters. */
  async ended(timeout?: number): Promise<Summary> {
    const exit = await this.#control.ended(timeout);
    return { exit, drops: this.drops() };
  }

  /** The counters of the closing summary: a drop reason is the one kind of key with a point in it. */
  drops(): Record<string, number> {
    const summary = this.records.find((record) => record.message === "summary");
    assert.ok(summary !== undefined, `softnet left no summary\n${this.program.text()}`);
    const counts = Object.entries(summary).filter(([key, value]) => key.includes(".") && typeof value === "number");
    return Object.fromEntries(counts) as Record<string, number>;
  }
}

/** What a busy machine's kernel drops before or behind softnet is no verdict. */
const OF_THE_KERNEL = ["host.queue", "host.backlog"];

/** Asserts that a guest which did nothing wrong lost no frame to the guard, but for these reasons. */
export function assertInnocent(summary: Summary, ...expected: readonly string[]): void {
  const allowed = [...ORDINARY, ...OF_THE_KERNEL, ...expected];
  const wrong = Object.entries(summary.drops).filter(([reason, count]) => count > 0 && !allowed.includes(reason));
  assert.deepEqual(Object.fromEntries(wrong), {}, "frames of an innocent guest were dropped");
  assert.deepEqual(summary.exit, { code: 0, signal: null });
}

/** Asserts that the guard dropped frames for this reason. */
export function assertDropped(summary: Summary, ...reasons: readonly string[]): void {
  const count = reasons.reduce((sum, reason) => sum + (summary.drops[reason] ?? 0), 0);
  assert.ok(count > 0, `nothing dropped as ${reasons.join(" or ")}: ${JSON.stringify(summary.drops)}`);
}
