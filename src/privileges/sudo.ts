/** Finds sudo in folders that only root may write to, not through PATH. */
import { statSync } from "node:fs";

const PLACES = ["/usr/bin/sudo", "/bin/sudo", "/run/wrappers/bin/sudo"];

/** Its absolute path, or undefined when it is not installed. */
export function findSudo(): string | undefined {
  return PLACES.find((path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() === true && stat.uid === 0 && (stat.mode & 0o111) !== 0;
  });
}
