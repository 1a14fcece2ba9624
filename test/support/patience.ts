/**
 * How long tests wait: said here and nowhere else, so that no test has a shorter deadline of its own.
 *
 * A limit takes time only where a test fails. Each is therefore far above what a busy machine needs, on which DHCP
 * clients, servers, virtual machines and softnets share two processors with whatever else runs. A test says what must
 * happen, not how soon: how fast softnet is, `npm run bench` measures.
 */

/** Milliseconds to wait for what must happen: a line, a frame, a program's end, the end of a lease. */
export const PATIENCE = 180_000;

/** For a whole test, in which several such things happen one after the other. */
export const LIMIT = { timeout: PATIENCE * 5 } as const;

/** For a test with several leases, one after the other, that run out. */
export const LONG_LIMIT = { timeout: PATIENCE * 10 } as const;

/** Polls until `condition` returns something truthy, and returns that; throws after `timeout` ms. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeout = PATIENCE,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + timeout;
  for (;;) {
    const value = await condition();
    if (value) return value as NonNullable<Exclude<T, false>>;
    if (performance.now() > deadline) throw new Error(`not within ${timeout} ms: ${what}`);
    await sleep(5);
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
