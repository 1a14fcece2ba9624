/** Which of the options that exclude each other were given. */

import type { SessionArguments } from "../../session/options.ts";
import { UserError } from "../../user-error.ts";

/** Throws UserError for `--vm-reconnect` where nobody connects. */
export function refuseReconnect({ vmReconnect, vmSocket }: SessionArguments): void {
  if (vmReconnect && vmSocket === undefined) {
    throw new UserError("--vm-reconnect belongs to --vm-socket PATH: give both or neither");
  }
}

/**
 * The names of the options that have a value; `options` in the order in which messages name them. Throws UserError when
 * there are two.
 */
export function oneOfOptions(options: Readonly<Record<string, unknown>>): string | undefined {
  const names = Object.keys(options).filter((name) => options[name] !== undefined);
  if (names.length > 1) throw new UserError(`${names.join(" and ")} exclude each other: give one`);
  return names[0];
}
