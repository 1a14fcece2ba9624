/** What became of an attack by which Mallory wants to stand between Alice and her router. */
import type { Outcome } from "./attack.ts";

/**
 * `redirected`: Alice's kernel sends to Mallory; `read`: Mallory has read Alice's secret; `welcomed`: Alice got an answer from
 * where she sent it, by way of her `router`, as people call it.
 */
export function intercepted(redirected: boolean, read: boolean, welcomed: boolean, router: string): Outcome {
  return {
    succeeded: redirected && read,
    unharmed: welcomed && !redirected && !read,
    evidence: describe(redirected, read, welcomed, router),
  };
}

function describe(redirected: boolean, read: boolean, welcomed: boolean, router: string): string {
  if (read) return `Mallory read Alice's password${welcomed ? ", and Alice noticed nothing" : ""}`;
  if (redirected) return "Alice's traffic went to Mallory";
  return welcomed ? `Alice's password went to the ${router} only` : "Alice could not log in";
}
