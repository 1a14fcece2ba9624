/** The points that are verified one by one: each says what it found, and whether that is what softnet counts on. */

/** `open` is an answer to a question that softnet is prepared for either way. */
export type Verdict = "ok" | "FAILED" | "open" | "left out";

export interface Finding {
  readonly verdict: Verdict;
  readonly details: string;
}

export interface Point {
  readonly name: string;
  /** Restores what it changes before it answers, or throws. */
  readonly run: () => Finding | Promise<Finding>;
}

export const ok = (details: string): Finding => ({ verdict: "ok", details });
export const failed = (details: string): Finding => ({ verdict: "FAILED", details });
export const open = (details: string): Finding => ({ verdict: "open", details });
export const leftOut = (details: string): Finding => ({ verdict: "left out", details });

/**
 * Runs all of them, whatever one of them throws, and answers how many failed. Between two of them, where nothing is
 * changed, it ends early once `stopped` says why.
 */
export async function runPoints(
  points: readonly Point[],
  print: (line: string) => void,
  stopped: () => string | undefined = () => undefined,
): Promise<number> {
  let failures = 0;
  for (const [index, { name, run }] of points.entries()) {
    const why = stopped();
    if (why !== undefined) {
      print(`${why}: everything is restored, and ${points.length - index} points were not tried`);
      break;
    }
    let finding: Finding;
    try {
      finding = await run();
    } catch (error) {
      finding = failed(error instanceof Error ? error.message : String(error));
    }
    if (finding.verdict === "FAILED") failures++;
    print(`${finding.verdict.padEnd(9)} ${name}`);
    for (const line of finding.details.split("\n")) print(`          ${line}`);
  }
  return failures;
}
