/** Checks of options that exclude or require each other. */

import type { SessionArguments } from "../../session/options.ts";
import { UserError } from "../../user-error.ts";

/** Throws UserError for `--vm-reconnect` without `--vm-socket`. */
export function refuseReconnect({ vmReconnect, vmSocket }: SessionArguments): void {
  if (vmReconnect && vmSocket === undefined) {
    throw new UserError("--vm-reconnect belongs to --vm-socket PATH: give both or neither");
  }
}

/**
 * Returns the name of the option that has a value; `options` in the order in which messages name them. Throws UserError
 * when more than one has.
 */
export function oneOfOptions(options: Readonly<Record<string, unknown>>): string | undefined {
  const names = Object.keys(options).filter((name) => options[name] !== undefined);
  if (names.length > 1) throw new UserError(`${names.join(" and ")} exclude each other: give one`);
  return names[0];
}
