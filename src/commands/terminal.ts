/**
 * Keeps the terminal's settings when softnet ends. Node saves the settings of the terminals on descriptors 0, 1 and 2
 * at its start and restores them at its end. By then another program may use the terminal: after `tart run VM &`, for
 * example, a shell or an editor is in the foreground and has changed the settings. Node does not change closed
 * descriptors, so softnet closes them at the end.
 */
import { closeSync } from "node:fs";
import { isatty } from "node:tty";

const STANDARD = [0, 1, 2];

/** In effect from now on, except for a crash, since Node must print its trace. */
export function leaveTerminal(): void {
  let crashed = false;
  process.on("uncaughtExceptionMonitor", () => {
    crashed = true;
  });
  process.on("exit", () => {
    if (crashed) return;
    for (const fd of STANDARD.filter((number) => isatty(number))) closeSync(fd);
  });
}
