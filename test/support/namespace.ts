/**
 * A fresh network namespace for a test that makes interfaces. It has no name: the kernel removes it with its last user,
 * so that nothing is left behind, however the test ends. Needs root.
 */

import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import koffi from "koffi";

const CLONE_NEWNET = 0x40000000;

/**
 * Moves this thread, and the processes it starts, to a fresh namespace; answers how to come back. Sockets and TAPs stay
 * in the namespace in which they were made.
 */
export function enterFreshNamespace(): () => void {
  const library = koffi.load(null);
  const unshare = library.func("int unshare(int flags)");
  const setns = library.func("int setns(int fd, int type)");
  const origin = openSync("/proc/thread-self/ns/net", "r");
  if (unshare(CLONE_NEWNET) < 0) throw new Error(`unshare: error ${koffi.errno()}`);
  return () => {
    if (setns(origin, CLONE_NEWNET) < 0) throw new Error(`setns: error ${koffi.errno()}`);
    closeSync(origin);
  };
}

/** Runs iproute2's `ip` and answers its output; throws with its error text. */
export function ip(...words: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("ip", words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${words.join(" ")}: ${stderr}`);
  return stdout;
}

/** Calls `run` in a namespace that has a name, and comes back. */
export function within<T>(namespace: string, run: () => T): T {
  const setns = koffi.load(null).func("int setns(int fd, int type)");
  const enter = (path: string): (() => void) => {
    const fd = openSync(path, "r");
    return () => {
      const result = setns(fd, CLONE_NEWNET);
      closeSync(fd);
      if (result < 0) throw new Error(`setns: error ${koffi.errno()}`);
    };
  };
  const back = enter("/proc/thread-self/ns/net");
  enter(`/run/netns/${namespace}`)();
  try {
    return run();
  } finally {
    back();
  }
}
