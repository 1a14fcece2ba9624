/** Crash reports of the packaged executable: a process without rights sends them, and output that fails is no crash. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { ALICE, type Thread, threadsOf } from "./harness/accounts.ts";
import { assertThreads, exe, MAC, needs, ONE_FRAME, Scene } from "./harness/executable-scene.ts";
import { until } from "./harness/program.ts";

interface Post {
  readonly url: string;
  readonly body: string;
  /** Whose the connection is, as the kernel has it: who made the socket. */
  readonly uid: number;
  /** Every thread of the senders that there are at that moment, by process. */
  readonly senders: ReadonlyMap<number, readonly Thread[]>;
}

/** Stands for Sentry, outside of any namespace. An answer goes out once it is known who asks. */
async function sentry(t: TestContext, program: string): Promise<{ posts: Post[]; port: number }> {
  const posts: Post[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { remotePort, localPort } = request.socket;
    const senders = new Map(sendersOf(program).map((pid) => [pid, threadsOf(pid)]));
    const body = Buffer.concat(parts).toString();
    posts.push({ url: request.url!, body, uid: socketOwner(remotePort!, localPort!), senders });
    response.end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { posts, port: (server.address() as { port: number }).port };
}

/** The processes of an executable that were started to send a crash report. */
function sendersOf(program: string): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      return exe(pid) === program && readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("--send-crash-report");
    } catch {
      return false; // it has ended
    }
  });
}

/** The owner of the TCP socket of this machine that is connected from one port to another on 127.0.0.1 (proc_net_tcp). */
function socketOwner(from: number, to: number): number {
  const hex = (port: number): string => `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const line = readFileSync("/proc/net/tcp", "latin1")
    .split("\n")
    .map((each) => each.trim().split(/\s+/))
    .find((words) => words[1] === hex(from) && words[2] === hex(to));
  assert.ok(line !== undefined, "there is no such connection");
  return Number(line[7]);
}

/** Sent by alice's process, which has nothing of root's in any thread and nothing that gives it back. */
function assertSentByAlice({ uid, senders }: Post): void {
  assert.equal(uid, ALICE.uid);
  assert.equal(senders.size, 1);
  for (const threads of senders.values()) {
    assertThreads(threads, ALICE.uid);
    assert.ok(threads[0]!.noNewPrivileges); // the main one, which alone starts programs
  }
}

const CRASH = JSON.stringify({ type: "SenderError", value: "", frames: [] });
const asAlice = { uid: ALICE.uid, gid: ALICE.uid, cwd: "/" };

test("SUID: output that cannot be written is no crash, with and without root's rights", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const { posts, port } = await sentry(t, scene.accounts.suid);
  const env = { SENTRY_DSN: `http://key@127.0.0.1:${port}/1` };
  const full = openSync("/dev/full", "w");
  t.after(() => closeSync(full));
  const capture = join(scene.trap, "..", "one.pcap");
  writeFileSync(capture, ONE_FRAME);
  for (const [args, expected] of [
    [["--help"], 0], // root's rights are still there
    [["--no-such-option"], 1],
    [["replay", capture, "--vm-mac-address", MAC], 1], // they are gone
  ] as const) {
    const child = spawn(scene.accounts.suid, args, { ...asAlice, env, stdio: ["ignore", full, full] });
    assert.deepEqual(await once(child, "exit"), [expected, null], args[0]);
  }
  await until("all senders have ended", () => sendersOf(scene.accounts.suid).length === 0);
  assert.equal(posts.length, 0);
  scene.assertNothingGained("output");
});

test("SUID: the sender gives its rights up before it sends, wherever SENTRY_DSN points", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const { suid } = scene.accounts;
  const { posts, port } = await sentry(t, suid);
  const send = async (program: string, env: NodeJS.ProcessEnv, who: object = asAlice) => {
    const child = spawn(program, ["--send-crash-report"], { ...who, env, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (text += data));
    const [code] = await once(child, "close");
    return { code, text };
  };
  const dsn = `http://key@127.0.0.1:${port}/1`;
  // As macOS has it, where nothing keeps what a dropped softnet starts from the SUID bit's rights.
  assert.deepEqual(await send(suid, { SENTRY_DSN: dsn, SOFTNET_CRASH_REPORT: CRASH }), { code: 0, text: "" });
  assert.equal(posts.length, 1);
  assertSentByAlice(posts[0]!);
  assert.match(posts[0]!.body, /SenderError/);
  // Root's own has nobody to fall back to.
  await send(suid, { SENTRY_DSN: dsn, SOFTNET_CRASH_REPORT: CRASH }, { uid: 0, gid: 0, cwd: "/" });
  assert.equal(posts.length, 1);

  const trap = { NODE_EXTRA_CA_CERTS: "/etc/shadow", NODE_OPTIONS: `--require=${scene.script}`, TMPDIR: scene.closed };
  const proxy = { NODE_USE_ENV_PROXY: "1", HTTP_PROXY: `http://127.0.0.1:${port}`, LD_PRELOAD: scene.library };
  for (const [SENTRY_DSN, report, more] of [
    ["file:///etc/shadow", CRASH, {}],
    ["file://key@localhost/etc/shadow", CRASH, {}],
    [`file://key@${scene.closed}/1`, CRASH, trap],
    [`data://key@${scene.marker}/1`, CRASH, {}],
    [`unix://key@${scene.trap}/1`, CRASH, {}],
    ["http://key@127.0.0.1:1/1", CRASH, { ...trap, ...proxy }],
    ["http://key@[::1]:1/../../etc/shadow", CRASH, {}],
    ["x".repeat(100_000), CRASH, {}],
    // What it shall tell is the caller's as well: what is none is told to nobody, also not as a crash of the sender's.
    [dsn, "{", {}],
    [dsn, "null", {}],
    [dsn, `{"type":1,"value":{},"frames":"x"}`, {}],
  ] as const) {
    const what = `${SENTRY_DSN.slice(0, 60)} ${report}`;
    const { text } = await send(suid, { ...more, SENTRY_DSN, SOFTNET_CRASH_REPORT: report });
    assert.doesNotMatch(text, /root:[^:]*:\d+:|BEGIN/, what);
    scene.assertNothingGained(what);
  }
  await until("all senders have ended", () => sendersOf(suid).length === 0);
  assert.equal(posts.length, 1);
});
