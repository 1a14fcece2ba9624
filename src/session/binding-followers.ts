/** Passes changes of the VM's binding on to all that follow them. */
import type { BindingChange } from "../guard/types.ts";

export type BindingFollower = (change: BindingChange) => void;

/**
 * The guard's `onBinding`, which must not throw: the guard is in the middle of a frame. Every follower gets the
 * change; what one throws goes to `onFault`, which must end the forwarding before another frame passes.
 */
export function followBinding(
  followers: readonly BindingFollower[],
  onFault: (error: unknown) => void,
): (change: BindingChange) => void {
  return (change) => {
    for (const follow of followers) {
      try {
        follow(change);
      } catch (error) {
        onFault(error);
      }
    }
  };
}
