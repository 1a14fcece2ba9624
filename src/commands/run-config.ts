/** `softnet run-config NAME`: a run whose options stand in a file (vm-config.ts). What systemd's `softnet@NAME` starts. */
import { run } from "./run.ts";
import { parseVmConfig } from "./vm-config.ts";
import { configPath, readVmConfig } from "./vm-config-file.ts";

/** Runs until the end and returns the exit code. Throws UserError. */
export function runConfig(word: string): Promise<number> {
  const path = configPath(word);
  const { given, words } = parseVmConfig(readVmConfig(path), path);
  // Where root is needed, sudo gets the options themselves: a file of the caller's is not read with root's rights.
  return run(given, undefined, words);
}
