/** The control channel: as standard output, as Tart hands it on, and at a path that a killed softnet left behind. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type DarwinLibc, SOCK_STREAM } from "../../src/native/darwin/libc.ts";
import { darwinUnix } from "../../src/ports/darwin-unix.ts";
import { SocketListener } from "../../src/ports/socket-listener.ts";
import { SocketStream } from "../../src/ports/socket-stream.ts";
import { endOf } from "./child.ts";
import { type Finding, failed, ok, type Point } from "./points.ts";
import { socketPair } from "./socket-pair.ts";

const CHILD = fileURLToPath(new URL("control-child.ts", import.meta.url));
const PATIENCE = 20_000; // milliseconds
const LINE = '{"jsonrpc":"2.0","method":"verify"}\n';

/** `path` is the library's. */
export function controlPoints(libc: DarwinLibc, path: string): Point[] {
  return [
    { name: "control: a channel on standard output, and its end", run: () => onStdout(libc, path) },
    { name: "control: a path that was left behind is taken over", run: () => leftBehind(libc, path) },
  ];
}

async function onStdout(libc: DarwinLibc, path: string): Promise<Finding> {
  const [ours, theirs] = socketPair(libc, path, SOCK_STREAM);
  const stream = new SocketStream(darwinUnix(libc), ours);
  let child: ChildProcess | undefined;
  try {
    child = spawn(process.execPath, [CHILD, path], { stdio: ["ignore", theirs, "pipe"] });
    libc.close(theirs);
    let complaints = "";
    child.stderr!.on("data", (data) => {
      complaints += data;
    });
    const ended = endOf(child);
    const answer = await answerTo(stream, child);
    if (answer !== LINE) return failed(`instead of the line itself came back ${JSON.stringify(answer)}\n${complaints}`);
    stream.close();
    const start = performance.now();
    const code = await Promise.race([ended, sleep(PATIENCE, "no end", { ref: false })]);
    if (code !== 0) return failed(`the child did not end with the channel: ${code}\n${complaints}`);
    return ok(`its end was seen after ${(performance.now() - start).toFixed(0)} ms, with that of the child`);
  } finally {
    stream.close();
    child?.kill("SIGKILL");
  }
}

/** What comes back for one line, up to as many bytes. */
async function answerTo(stream: SocketStream, child: ChildProcess): Promise<string> {
  stream.send(Buffer.from(LINE));
  let answer = "";
  const deadline = performance.now() + PATIENCE;
  while (answer.length < LINE.length && performance.now() < deadline && child.exitCode === null) {
    const bytes = stream.receive();
    if (bytes === undefined) break;
    answer += Buffer.from(bytes).toString();
    await sleep(10);
  }
  return answer;
}

async function leftBehind(libc: DarwinLibc, path: string): Promise<Finding> {
  const folder = mkdtempSync(join(tmpdir(), "softnet-verify-"));
  const place = join(folder, "vm.ctl");
  let child: ChildProcess | undefined;
  try {
    child = spawn(process.execPath, [CHILD, path, place], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = endOf(child);
    const listens = once(child.stdout!, "data");
    const first = await Promise.race([listens, ended]);
    if (String(first) !== "listens\n") return failed(`the child does not listen: ${first}`);
    child.kill("SIGKILL");
    await ended;
    if (!lstatSync(place).isSocket()) return failed("nothing was left behind");
    // Where the path is not replaced, binding to it fails.
    const listener = new SocketListener(darwinUnix(libc), "--control-socket", place, (stream) => stream.close());
    const mode = (lstatSync(place).mode & 0o7777).toString(8);
    listener.close();
    return mode === "600" ? ok(`its mode is ${mode}`) : failed(`its mode is ${mode}`);
  } finally {
    child?.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}
