/** What the demo asks the job's softnet while it runs, through its control socket and with `softnet ctl`. */
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { askOne } from "../../operate/ask.ts";
import { fieldsOf } from "../../operate/fields.ts";
import { startIn } from "../child.ts";
import type { Cleanup } from "../cleanup.ts";
import type { Namespace } from "../namespace.ts";

const TIMEOUT = 60_000; // milliseconds

/** How many frames from the VM were dropped for this reason. */
export async function countOf(path: string, reason: string): Promise<number> {
  const asked = await askOne(path, "softnet.status", {}, TIMEOUT);
  if ("error" in asked) throw new Error(asked.error);
  const { egress } = fieldsOf(asked.answer.counters);
  return Number(fieldsOf(fieldsOf(egress).drops)[reason] ?? 0);
}

/** The lines that `softnet ctl` prints. */
export async function ctl(
  host: Namespace,
  path: string,
  words: readonly string[],
  cleanup: Cleanup,
): Promise<readonly string[]> {
  const child = startIn(host, "../main", ["ctl", path, ...words], { stdio: ["ignore", "pipe", "pipe"] }, cleanup);
  const closed = once(child, "close");
  const [printed, complaints] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
  await closed;
  cleanup.check();
  if (child.exitCode !== 0) throw new Error(`softnet ctl ${words[0]}: ${complaints.trim()}`);
  return printed.trimEnd().split("\n");
}
