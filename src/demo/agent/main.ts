/**
 * An agent: a process in one namespace that carries out the demo's orders, received over Node's IPC channel, and sends
 * the results back. It ends when its parent ends, also when that is killed.
 */
import { loadLibc } from "../../native/linux/libc.ts";
import { makeActions } from "./actions.ts";

/** One order; what comes back has the same number. */
export interface Order {
  readonly number: number;
  readonly action: string;
  readonly argument: unknown;
}

export type Report =
  | { readonly number: number; readonly result: unknown }
  | { readonly number: number; readonly error: string };

const actions = makeActions(loadLibc()) as unknown as Record<string, (argument: unknown) => unknown>;

async function execute({ number, action, argument }: Order): Promise<void> {
  let report: Report;
  try {
    report = { number, result: await actions[action]!(argument) };
  } catch (error) {
    report = { number, error: `${action}: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (process.connected) process.send!(report);
}

process.on("message", (order: Order) => void execute(order));
process.on("disconnect", () => process.exit());
// Ctrl-C signals the terminal's whole process group; the parent ends the agents in order.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
