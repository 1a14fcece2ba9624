/** Waiting for a handler of vmnet's. */

export interface Waiting {
  /** The handler's status, or undefined after so many milliseconds. */
  readonly promise: Promise<number | undefined>;
  /** To be called by the handler. */
  readonly resolve: (status: number | undefined) => void;
}

/**
 * It keeps the event loop alive, which handlers do not. Whoever waits goes on in a later turn, when vmnet's thread has got
 * its handler back: a call that wants that thread's queue would else wait for itself.
 */
export function waiting(milliseconds: number): Waiting {
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  const timer = setTimeout(resolve, milliseconds, undefined);
  return {
    promise,
    resolve: (status) => {
      clearTimeout(timer);
      setImmediate(resolve, status);
    },
  };
}
