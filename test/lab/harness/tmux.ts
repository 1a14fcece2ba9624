/** A real terminal for a program of a test's: tmux without the user's settings, its screen captured as text. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { until } from "./program.ts";

export class Tmux {
  /** The server's own, so that no other server is ever asked. */
  readonly #socket: string;
  readonly #environment: NodeJS.ProcessEnv;

  /** An interactive shell in a terminal of that size; it ends with the test. */
  constructor(t: TestContext, columns: number, rows: number) {
    const { TMUX: _, NO_COLOR: __, ...environment } = process.env;
    this.#environment = { ...environment, LC_ALL: "C.UTF-8", PS1: "$ " };
    const folder = mkdtempSync(join(tmpdir(), "softnet-tmux-"));
    this.#socket = join(folder, "socket");
    this.#tmux("-f", "/dev/null", "new-session", "-d", "-x", String(columns), "-y", String(rows), "sh");
    t.after(() => {
      this.#tmux("kill-server");
      rmSync(folder, { recursive: true });
    });
  }

  /** Keys by tmux' names (`Down`, `Enter`), or text. */
  press(...keys: readonly string[]): void {
    this.#tmux("send-keys", ...keys);
  }

  type(line: string): void {
    this.#tmux("send-keys", "-l", line);
    this.press("Enter");
  }

  resize(columns: number, rows: number): void {
    this.#tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** The lines of the screen, without spaces at their ends. `-e`: with colours, as sequences. */
  screen(...options: readonly string[]): string[] {
    return this.#tmux("capture-pane", "-p", ...options)
      .trimEnd()
      .split("\n");
  }

  /** Resolves with the screen once it is as `is` wants it. */
  async shows(what: string, is: (lines: readonly string[]) => boolean): Promise<string[]> {
    let lines: string[] = [];
    return await until(what, () => {
      lines = this.screen();
      return is(lines) ? lines : undefined;
    }).catch((error) => {
      throw new Error(`${what}\n${lines.join("\n")}`, { cause: error });
    });
  }

  #tmux(...words: readonly string[]): string {
    const { stdout, stderr, status } = spawnSync("tmux", ["-S", this.#socket, ...words], {
      env: this.#environment,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`tmux ${words[0]}: ${stderr}`);
    return stdout;
  }
}
