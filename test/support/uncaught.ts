/** What is thrown where no caller can catch it: by a subscriber of a diagnostics channel, or in a microtask. */
import type { TestContext } from "node:test";

/** Collects uncaught exceptions until the test ends, instead of letting them end the process. */
export function collectUncaught(t: TestContext): readonly unknown[] {
  const thrown: unknown[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error));
  t.after(() => process.setUncaughtExceptionCaptureCallback(null));
  return thrown;
}
