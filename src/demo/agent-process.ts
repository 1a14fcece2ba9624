/** The demo's side of an agent: starts the child process in a namespace, sends it orders, receives its reports. */
import type { ChildProcess } from "node:child_process";
import type { Actions } from "./agent/actions.ts";
import type { Order, Report } from "./agent/main.ts";
import { startIn } from "./child.ts";
import { type Cleanup, Interrupted } from "./cleanup.ts";
import type { Namespace } from "./namespace.ts";

/** Milliseconds; every action ends by itself much earlier. */
const TIMEOUT = 120_000;
/** Characters that are kept of an agent's stderr. */
const MOST_COMPLAINTS = 2_000;

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Agent {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #cleanup: Cleanup;
  readonly #waiting = new Map<number, Waiting>();
  #orders = 0;
  #complaints = "";
  #ended = false;

  constructor(namespace: Namespace, cleanup: Cleanup) {
    this.#name = namespace.name;
    this.#cleanup = cleanup;
    const options = { stdio: ["ignore", "ignore", "pipe", "ipc"], serialization: "advanced" } as const;
    const child = startIn(namespace, "./agent/main", [], { ...options, stdio: [...options.stdio] }, cleanup);
    this.#child = child;
    child.stderr!.on("data", (data) => {
      this.#complaints = (this.#complaints + data).slice(-MOST_COMPLAINTS);
    });
    child.on("message", (report: Report) => {
      const waiting = this.#waiting.get(report.number);
      this.#waiting.delete(report.number);
      if ("error" in report) waiting?.reject(new Error(`${this.#name}: ${report.error}`));
      else waiting?.resolve(report.result);
    });
    child.on("close", () => {
      this.#ended = true;
      for (const { reject } of this.#waiting.values()) reject(this.#end());
      this.#waiting.clear();
    });
  }

  /** Sends an order to the agent; resolves with the action's result. */
  call<K extends keyof Actions>(
    action: K,
    ...argument: Parameters<Actions[K]>
  ): Promise<Awaited<ReturnType<Actions[K]>>> {
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(this.#end());
        return;
      }
      const number = ++this.#orders;
      const giveUp = setTimeout(() => {
        this.#waiting.delete(number);
        reject(new Error(`${this.#name}: no answer to ${action} within ${TIMEOUT / 1000} s`));
      }, TIMEOUT);
      this.#waiting.set(number, {
        resolve: (result) => {
          clearTimeout(giveUp);
          resolve(result as Awaited<ReturnType<Actions[K]>>);
        },
        reject: (error) => {
          clearTimeout(giveUp);
          reject(error);
        },
      });
      const order: Order = { number, action, argument: argument[0] };
      // A failure shows as the end of the process.
      this.#child.send(order, () => {});
    });
  }

  #end(): Error {
    if (this.#cleanup.begun) return new Interrupted();
    return new Error(`${this.#name}: the agent ended unexpectedly\n${this.#complaints.trim()}`);
  }
}
