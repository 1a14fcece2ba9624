/**
 * softnet as a daemon, for callers that expect a program to return once it is ready: passt's and libvirt's hooks. Node has no
 * fork(2), so softnet starts itself once more, in a session of its own. The child says over a pipe that it is ready, and
 * only then does the caller's process end. What the child writes to stderr until then is the caller's error.
 */
import { spawn } from "node:child_process";
import { closeSync, writeSync } from "node:fs";
import { extname } from "node:path";
import { isSea } from "node:sea";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { ServiceManager } from "../telemetry/service-manager.ts";
import { UserError } from "../user-error.ts";
import { DAEMON } from "./daemon-argument.ts";
import type { Platform } from "./platform/platform.ts";

const READY_FD = 3;
const READY = "ready";
/** Milliseconds for what an ended child wrote. */
const DRAIN = 500;
/** Bytes of an error that are kept. */
const MOST_TEXT = 4096;

/** softnet's own file, for programs that must not take it for another. */
export function mainFile(): string {
  return isSea() ? process.execPath : fileURLToPath(new URL(`../main${extname(import.meta.url)}`, import.meta.url));
}

/** Starts `softnet WORDS` and waits until it is ready; returns its process. Throws UserError with what it wrote. */
export async function startDaemon(words: readonly string[], patience: number): Promise<number> {
  const program = isSea() ? [] : [mainFile()];
  const child = spawn(process.execPath, [...program, DAEMON, ...words], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", "ignore", "pipe", "pipe"],
  });
  let error = "";
  let ready = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    error = (error + text).slice(0, MOST_TEXT);
  });
  const pipe = child.stdio[READY_FD] as Readable;
  pipe.on("data", (text: Buffer) => {
    ready += text.toString("latin1");
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, patience);
  const ended = new Promise<void>((resolve) => {
    child.on("error", (failure) => {
      error = failure.message;
      resolve();
    });
    child.on("close", () => resolve());
    // A program that it has started may have its stderr: what it wrote itself is here by then.
    child.on("exit", () => setTimeout(resolve, DRAIN));
  });
  await Promise.race([ended, new Promise<void>((resolve) => pipe.on("data", () => resolve()))]);
  clearTimeout(timer);
  child.unref();
  child.stderr!.destroy();
  pipe.destroy();
  if (late) throw new UserError(`softnet was not ready within ${patience / 1000} s: ${lastLine(error)}`);
  if (ready === "") throw new UserError(lastLine(error));
  return child.pid!;
}

function lastLine(text: string): string {
  const line = text.trim().split("\n").at(-1)!;
  return line.replace(/^softnet: /, "").trim() || "softnet ended without a message";
}

/** In the child: that it is ready. */
export function announceReady(): void {
  try {
    writeSync(READY_FD, READY);
    closeSync(READY_FD);
  } catch {
    // Whoever waited has ended.
  }
}

/** This system, with `onReady` in place of a service manager; it is called once. */
export function withReadiness(platform: Platform, onReady: () => void): Platform {
  let waits = true;
  const service: ServiceManager = {
    ready: () => {
      if (waits) onReady();
      waits = false;
    },
    status: () => {},
    reloading: () => {},
    stopping: () => {},
  };
  return { ...platform, serviceManager: () => service };
}
