/** The machines that softnet is packaged for, as Node names them. */

export const TARGETS = ["linux-x64", "linux-arm64", "darwin-arm64", "darwin-x64"] as const;
export type Target = (typeof TARGETS)[number];

export function isTarget(text: string): text is Target {
  return (TARGETS as readonly string[]).includes(text);
}

/** This machine's own. Throws where softnet is not packaged for it. */
export function ownTarget(): Target {
  const own = `${process.platform}-${process.arch}`;
  if (isTarget(own)) return own;
  throw new Error(`softnet is not packaged for ${own}: name one of ${TARGETS.join(", ")}`);
}

/** What the command line asks for: this machine's own and the ones that are named, or `all`. */
export function chosenTargets(words: readonly string[]): Target[] {
  const unknown = words.find((word) => word !== "all" && !isTarget(word));
  if (unknown !== undefined) throw new Error(`${unknown} is no target: name ${TARGETS.join(", ")} or all`);
  if (words.includes("all")) return [...TARGETS];
  return TARGETS.filter((target) => words.includes(target) || target === ownTarget());
}
