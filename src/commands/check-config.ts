/** `softnet check-config NAME`: whether a VM's file is right, before it is used. It starts nothing. */
import { UserError } from "../user-error.ts";
import { writeIfPossible } from "./output.ts";
import { ConfigMistakes, parseVmConfig } from "./vm-config.ts";
import { configPath, readVmConfig } from "./vm-config-file.ts";

/** Writes "PATH: OK" to `stdout`, or each mistake to `stderr`. Returns the exit code. */
export function checkConfig(word: string, stdout: number, stderr: number): number {
  try {
    const path = configPath(word);
    parseVmConfig(readVmConfig(path), path, true);
    writeIfPossible(stdout, `${path}: OK\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const lines = error instanceof ConfigMistakes ? error.lines : [`softnet: ${error.message}`];
    writeIfPossible(stderr, lines.map((line) => `${line}\n`).join(""));
    return 1;
  }
}
