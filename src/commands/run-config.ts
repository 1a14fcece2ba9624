/** `softnet run-config NAME`: a run whose options stand in a file (vm-config.ts). What systemd's `softnet@NAME` starts. */
import { announceReady, withReadiness } from "./daemon.ts";
import { choosePlatform, run } from "./run.ts";
import { parseVmConfig } from "./vm-config.ts";
import { configPath, readVmConfig } from "./vm-config-file.ts";

/** Runs until the end and returns the exit code. Throws UserError. */
export function runConfig(word: string): Promise<number> {
  const path = configPath(word);
  const { given, words } = parseVmConfig(readVmConfig(path), path);
  // Where root is needed, sudo gets the options themselves: a file of the caller's is not read with root's rights.
  return run(given, undefined, words);
}

/** The same as a daemon: whoever started it hears when it is ready. Its log is a file's, or nobody's. */
export async function runConfigDaemon(word: string): Promise<number> {
  const path = configPath(word);
  const { given, words } = parseVmConfig(readVmConfig(path), path);
  const platform = withReadiness(await choosePlatform(), announceReady);
  return run({ ...given, logFile: given.logFile ?? "/dev/null" }, () => platform, words);
}
