/** Waiting for something to become true, for a while. */

const INTERVAL = 20; // milliseconds

/** Asks again and again; returns true as soon as the condition holds, false when it does not within `patience` milliseconds. */
export async function within(patience: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + patience;
  for (;;) {
    if (await condition()) return true;
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, INTERVAL));
  }
}
