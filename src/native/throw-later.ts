/**
 * An exception that leaves a callback of koffi stays pending in V8: every later callback fails with it at once, and the
 * program does nothing any more. So such a callback catches its exceptions, and they are thrown again from the event
 * loop as uncaught exceptions.
 */
export function throwLater(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
