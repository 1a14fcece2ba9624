/**
 * An exception that leaves a callback of koffi's stays pending in V8: every later callback fails with it at once, for ever,
 * and nothing of the program moves any more. So such a callback catches what it throws, and it is thrown again from the
 * event loop, as an exception that nobody caught.
 */
export function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
