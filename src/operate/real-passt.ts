/**
 * Finds passt along PATH where softnet itself is called passt there. Files are compared by their real paths, so that no link
 * to softnet is taken for passt. A script that starts softnet cannot be known by its path: what softnet starts has a
 * variable, and a softnet that finds it refuses to go on, which ends a loop at its first turn.
 */
import { realpathSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { isExecutable } from "../system-program.ts";
import { UserError } from "../user-error.ts";

export const STARTED_BY_SOFTNET = "SOFTNET_STARTS_PASST";

const NAME = "passt";

type Environment = Readonly<Record<string, string | undefined>>;

/** The first passt of PATH that is not one of `own`, softnet's files. Throws UserError. */
export function findRealPasst(environment: Environment, own: readonly string[]): string {
  refuseLoop(environment);
  const excluded = new Set(own.map(realPath));
  const candidates = (environment.PATH ?? "")
    .split(":")
    .filter(isAbsolute) // others would depend on the working directory
    .map((folder) => realPath(join(folder, NAME)))
    .filter((path) => path !== undefined);
  const found = candidates.find((path) => !excluded.has(path) && isExecutable(path));
  if (found !== undefined) return found;
  const remedy = "install passt, and keep its folder in PATH behind softnet's";
  throw new UserError(
    candidates.length > 0
      ? `passt: every passt in PATH is softnet itself: ${remedy}`
      : `passt: there is none in PATH: ${remedy}`,
  );
}

function refuseLoop(environment: Environment): void {
  if (environment[STARTED_BY_SOFTNET] === undefined) return;
  throw new UserError(
    "passt: softnet has found itself under this name: remove the script called passt that starts softnet from PATH, and make a link to softnet instead",
  );
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}
