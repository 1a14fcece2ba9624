/** The end of a child, and nothing that is thrown elsewhere when it cannot even start. */
import type { ChildProcess } from "node:child_process";

/** Its exit code, the signal that ended it, or why it did not start. */
export function endOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => resolve(code ?? signal ?? "no exit code"));
  });
}
