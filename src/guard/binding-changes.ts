/** Tells a change of the binding: to the guard's user, and to whoever observes the process. */
import type { Diagnostics } from "./diagnostics.ts";
import type { BindingChange, GuardOptions } from "./types.ts";

/** What `onBinding` throws is thrown again once the running code has ended, as an uncaught exception. */
export function tellBinding(
  change: BindingChange,
  onBinding: GuardOptions["onBinding"],
  diagnostics: Diagnostics,
): void {
  try {
    onBinding?.(change);
  } catch (error) {
    // A frame may be in the middle of its checks, which an error of the caller's code must not end.
    queueMicrotask(() => {
      throw error;
    });
  }
  diagnostics.bindingChanged(change);
}
