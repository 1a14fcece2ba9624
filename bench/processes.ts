/** Children between two socketpairs, and what they cost: CPU time and memory as the kernel counts them. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "koffi";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
/** So that a child gets the ends that are meant for it, and no copy of the others. */
const SOCK_CLOEXEC = 0x80000;
const socketpair = koffi.load(null).func("int socketpair(int domain, int type, int protocol, _Out_ int *ends)");

/** The program as it is published: JavaScript. */
export const PUBLISHED = fileURLToPath(new URL("../dist/main.js", import.meta.url));

/** The forwarder's two sockets, and the far end of each. */
export interface Wires {
  readonly near: readonly [vm: number, network: number];
  readonly far: readonly [vm: number, network: number];
  close(): void;
}

export function makeWires(): Wires {
  const pair = (): [number, number] => {
    const ends: [number, number] = [-1, -1];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0) throw new Error("socketpair failed");
    return ends;
  };
  const [vm, network] = [pair(), pair()];
  return {
    near: [vm[0], network[0]],
    far: [vm[1], network[1]],
    close: () => {
      for (const fd of [...vm, ...network]) closeSync(fd);
    },
  };
}

/** Compiles programs in bench/native, or of the lab, into a folder of its own; `remove` deletes it, as the end of this process does. */
export function compile<Name extends string>(...names: readonly Name[]): Record<Name, string> & { remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "softnet-bench-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  const build = (name: string): string => {
    const place = name === "connections" ? "../test/lab/tools" : "native";
    const source = fileURLToPath(new URL(`${place}/${name}.c`, import.meta.url));
    const made = spawnSync("cc", ["-O2", "-Wall", "-o", join(folder, name), source], { encoding: "utf8" });
    if (made.error) throw new Error("cc is missing: install a C compiler (Debian: build-essential)");
    if (made.status !== 0) throw new Error(made.stderr);
    return join(folder, name);
  };
  const programs = Object.fromEntries(names.map((name) => [name, build(name)])) as Record<Name, string>;
  return { ...programs, remove };
}

/** What a forwarder is called, and how it is started with its descriptors as 3 and 4. */
export interface Contestant {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

/** `more` descriptors follow as 5 …; they and the wires' near ends stay open here. */
export function start(contestant: Contestant, wires: Wires, ...more: readonly number[]): ChildProcess {
  return spawn(contestant.command, contestant.args, { stdio: ["ignore", "ignore", "ignore", ...wires.near, ...more] });
}

/** Nanoseconds of CPU time that all threads of a process have used. */
export function cpuTime(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    total += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  }
  return total;
}

/** Megabytes of anonymous memory. */
export function anonymousMemory(pid: number): number {
  return Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
}

/**
 * Sends `count` frames through, `different` ones in turn; answers the nanoseconds that it took. Frames are lost: throws.
 */
export function load(
  program: string,
  { far }: Pick<Wires, "far">,
  frames: Uint8Array,
  count: number,
  window = 512,
  different = 1,
): number {
  const { status, stdout, stderr } = spawnSync(program, ["3", "4", ...[count, window, different].map(String)], {
    input: frames,
    stdio: ["pipe", "pipe", "pipe", ...far] as never,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`load: ${stderr}`);
  return Number(stdout);
}

/** Resolves with milliseconds until the process has ended. */
export function ended(child: ChildProcess): Promise<number> {
  const begin = performance.now();
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(0);
  return new Promise((resolve) => child.once("exit", () => resolve(performance.now() - begin)));
}
