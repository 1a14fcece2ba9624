/** Waiting for something to become true, for a while. */
import { setTimeout as sleep } from "node:timers/promises";

const INTERVAL = 20; // milliseconds

/**
 * Checks repeatedly; returns true as soon as the condition holds, false when it does not within `timeout` milliseconds.
 */
export async function within(timeout: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + timeout;
  for (;;) {
    if (await condition()) return true;
    if (performance.now() > deadline) return false;
    await sleep(INTERVAL);
  }
}
