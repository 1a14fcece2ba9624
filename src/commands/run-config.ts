/** `softnet run-config NAME`: a run whose options stand in a file (vm-config.ts). What systemd's `softnet@NAME` starts. */
import { isVmName } from "../registry/vm-names.ts";
import { announceReady, withReadiness } from "./daemon.ts";
import { choosePlatform, run } from "./run.ts";
import type { RunArguments } from "./run-options.ts";
import { parseVmConfig } from "./vm-config.ts";
import { configPath, readVmConfig } from "./vm-config-file.ts";

/** Runs until the end and returns the exit code. A VM that is asked for by NAME has that name (`--name`). Throws UserError. */
export function runConfig(word: string): Promise<number> {
  const { given, words } = read(word);
  return run(given, undefined, words);
}

/** The same as a daemon: whoever started it hears when it is ready. Its log is a file's, or nobody's. */
export async function runConfigDaemon(word: string): Promise<number> {
  const { given, words } = read(word);
  const platform = withReadiness(await choosePlatform(), announceReady);
  return run({ ...given, logFile: given.logFile ?? "/dev/null" }, () => platform, words);
}

/** Where root is needed, sudo gets the options themselves: a file of the caller's is not read with root's rights. */
function read(word: string): { readonly given: RunArguments; readonly words: readonly string[] } {
  const path = configPath(word);
  const { given, words } = parseVmConfig(readVmConfig(path), path);
  if (given.name !== undefined || !isVmName(word)) return { given, words };
  return { given: { ...given, name: word }, words: [...words, `--name=${word}`] };
}
