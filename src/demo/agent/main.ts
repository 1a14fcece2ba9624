/**
 * An agent: a process inside one namespace that does there what the demo tells it over Node's channel between parent and
 * child, and answers with the result. It ends with its parent, whatever ends that.
 */
import { loadLibc } from "../../native/linux/libc.ts";
import { hands } from "./hands.ts";

/** One order; what comes back has the same number. */
export interface Order {
  readonly number: number;
  readonly hand: string;
  readonly argument: unknown;
}

export type Report =
  | { readonly number: number; readonly result: unknown }
  | { readonly number: number; readonly error: string };

const table = hands(loadLibc()) as unknown as Record<string, (argument: unknown) => unknown>;

async function obey({ number, hand, argument }: Order): Promise<void> {
  let report: Report;
  try {
    report = { number, result: await table[hand]!(argument) };
  } catch (error) {
    report = { number, error: `${hand}: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (process.connected) process.send!(report);
}

process.on("message", (order: Order) => void obey(order));
process.on("disconnect", () => process.exit());
// Ctrl-C reaches the whole group of processes at a terminal; the parent decides what happens then.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
