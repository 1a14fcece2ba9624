/**
 * The terminal stays as it is when softnet ends. Node notes at its start how the terminals on descriptors 0, 1 and 2 are
 * set, and sets them so again at its end. By then they are somebody else's: of `tart run VM &` only stderr is softnet's,
 * and a shell or an editor, which has its own settings while it reads a line, is in the foreground. Node leaves alone what
 * is closed, so at the end they are.
 */
import { closeSync } from "node:fs";
import { isatty } from "node:tty";

const STANDARD = [0, 1, 2];

/** From now on; but for a crash, whose trace Node has yet to print. */
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
