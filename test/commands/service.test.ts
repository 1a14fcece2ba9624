/** softnet as a service: SIGHUP with and without a terminal, files that logrotate moves, and who waits for it to be ready. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { openCapture } from "../../src/capture/index.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Running, startSoftnet, until } from "../support/running.ts";
import { needs, needsRoot } from "../support/tools.ts";

/** A folder that root's own softnet, which becomes nobody, can write to as well. */
function openFolder(t: TestContext): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o777);
  return folder;
}

/** A session without a terminal, whatever the test was started from. */
const DETACHED = ["setsid", "--wait"];

/** Starts softnet on a terminal of its own, which is closed at SIGUSR1. Its stderr stays what it was. */
const ON_TERMINAL = `
import os, pty, signal, sys
stderr = os.dup(2)
os.set_inheritable(stderr, True)
pid, terminal = pty.fork()
if pid == 0:
    os.dup2(stderr, 2)
    os.execv(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGUSR1, lambda *_: os.close(terminal))
signal.signal(signal.SIGHUP, lambda *_: os.kill(pid, signal.SIGHUP))
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

async function start(t: TestContext, options: Parameters<typeof startSoftnet>[1] = {}): Promise<Running> {
  const running = await startSoftnet(t, options);
  await until("it forwards", () => said(running, "started"));
  return running;
}

const said = ({ log }: Running, message: string): boolean => log.some((line) => line.message === message);

test("without a terminal SIGHUP does not stop it: a service's logrotate cuts no VM off", async (t) => {
  const running = await start(t, { through: DETACHED });
  const pid = softnetPid(running);
  process.kill(pid, "SIGHUP");
  await until("it was heard", () => running.log.some(({ message }) => String(message).startsWith("SIGHUP: files")));
  process.kill(pid, "SIGTERM");
  assert.equal((await running.ended()).code, 0);
});

/** The process that softnet is, where `child` only started it. */
function softnetPid({ child }: Running): number {
  const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
  return children === "" ? child.pid! : Number(children.split(" ")[0]);
}

test(
  "SIGHUP stops it where its terminal was closed, and not while the terminal is there",
  needs("python3"),
  async (t) => {
    const running = await start(t, { through: ["/usr/bin/python3", "-c", ON_TERMINAL] });
    running.child.kill("SIGHUP");
    await until("it was heard", () => running.log.some(({ message }) => String(message).startsWith("SIGHUP: files")));
    running.child.kill("SIGUSR1");
    assert.equal((await running.ended()).code, 0);
    assert.equal(running.log.find(({ message }) => message === "stopped")?.why, "SIGHUP");
  },
);

test("with a policy file a closed terminal does not stop it either", needs("python3"), async (t) => {
  const policy = join(openFolder(t), "policy");
  writeFileSync(policy, "block 10.0.0.0/8\n");
  const running = await start(t, { through: ["/usr/bin/python3", "-c", ON_TERMINAL], args: ["--policy", policy] });
  writeFileSync(policy, "block 10.0.0.0/8\nblock 172.16.0.0/12\n");
  running.child.kill("SIGUSR1");
  await until(
    "the policy was read again",
    () => running.log.find((line) => line.message === "policy changed")?.block === 2,
  );
  running.child.kill("SIGTERM");
  assert.equal((await running.ended()).code, 0);
});

test("logrotate's way: log and capture are moved, SIGHUP comes, and both go on in new files", async (t) => {
  const folder = openFolder(t);
  const log = join(folder, "softnet.log");
  const capture = join(folder, "frames.pcapng");
  const running = await startSoftnet(t, { args: ["--log-file", log, "--capture", capture], through: DETACHED });
  await until("it forwards", () => existsSync(log) && readFileSync(log, "utf8").includes('"message":"started"'));
  assert.equal(statSync(log).mode & 0o777, 0o600);
  const frame = Buffer.alloc(60, 0xff);
  running.vm.send(frame);
  await until("it is captured", () => [...openCapture(capture)].length === 1);
  renameSync(log, `${log}.1`);
  renameSync(capture, `${capture}.1`);
  const pid = softnetPid(running);
  process.kill(pid, "SIGHUP");
  await until("the new log", () => existsSync(log) && readFileSync(log, "utf8").includes("SIGHUP: files"));
  running.vm.send(frame);
  await until("the new capture", () => existsSync(capture) && [...openCapture(capture)].length === 1);
  assert.equal([...openCapture(`${capture}.1`)].length, 1);
  process.kill(pid, "SIGTERM");
  assert.equal((await running.ended()).code, 0);
  assert.match(readFileSync(log, "utf8"), /"message":"stopped"/);
  assert.match(readFileSync(`${log}.1`, "utf8"), /"message":"started"/);
  assert.equal(running.stderr(), "");
});

test("a log file that cannot be opened is one line with the remedy", async (t) => {
  const folder = openFolder(t);
  symlinkSync("/etc/passwd", join(folder, "link"));
  for (const [path, why] of [
    [join(folder, "missing", "log"), /the folder does not exist/],
    [join(folder, "link"), /symbolic link/],
    [folder, /it is a folder/],
  ] as const) {
    const running = await startSoftnet(t, { args: ["--log-file", path] });
    assert.equal((await running.ended()).code, 1);
    const last = running.stderr().trim().split("\n").at(-1)!;
    assert.ok(last.startsWith(`softnet: --log-file ${path}: `), last);
    assert.match(last, why);
  }
});

/** A service manager's socket: what it hears, message by message, in Python, since Node has no unix datagrams. */
const MANAGER = `
import os, socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
manager.bind("\\0" + name[1:] if name.startswith("@") else name)
if not name.startswith("@"): os.chmod(name, 0o777)  # as systemd's
print("bound", flush=True)
while True:
    print(repr(manager.recv(65536).decode()), flush=True)
`;

async function manager(t: TestContext, name: string): Promise<string[]> {
  const child = spawn("/usr/bin/python3", ["-c", MANAGER, name], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill());
  const heard: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => heard.push(line));
  await until("the manager listens", () => heard.shift() === "bound");
  return heard;
}

for (const kind of ["path", "abstract name"] as const) {
  test(`a service manager at ${kind} hears READY, RELOADING and STOPPING`, needs("python3"), async (t) => {
    const folder = openFolder(t);
    const name = kind === "path" ? join(folder, "notify") : `@softnet-test-${process.pid}`;
    const heard = await manager(t, name);
    const running = await start(t, { env: { NOTIFY_SOCKET: name }, through: DETACHED });
    await until("READY", () => heard.length === 1);
    assert.equal(heard[0], "'READY=1\\nSTATUS=filters --vm-fd 3, on --host-fd 4'");
    const pid = softnetPid(running);
    process.kill(pid, "SIGHUP");
    await until("READY again", () => heard.length === 3);
    const time = Number(/^'RELOADING=1\\nMONOTONIC_USEC=(\d+)'$/.exec(heard[1]!)?.[1]);
    const now = Number(process.hrtime.bigint() / 1000n);
    assert.ok(time <= now && time > now - 60e6, heard[1]);
    assert.match(heard[2]!, /^'READY=1/);
    process.kill(pid, "SIGTERM");
    await until("STOPPING", () => heard[3] === "'STOPPING=1'");
    assert.equal((await running.ended()).code, 0);
  });
}

test("with borrowed rights the manager is reached as the caller, never as root", {
  ...needs("python3"),
  ...needsRoot(),
}, async (t) => {
  const folder = openFolder(t);
  // As sudo starts it for user 65534.
  const env = { SUDO_UID: "65534", SUDO_GID: "65534", SUDO_USER: "nobody" };
  const [own, roots] = [join(folder, "own"), join(folder, "roots")];
  const [toOwn, toRoots] = [await manager(t, own), await manager(t, roots)];
  chmodSync(roots, 0o600);
  const refused = await start(t, { env: { ...env, NOTIFY_SOCKET: roots } });
  refused.child.kill("SIGTERM");
  assert.equal((await refused.ended()).code, 0);
  const running = await start(t, { env: { ...env, NOTIFY_SOCKET: own } });
  await until("READY", () => toOwn.length === 1);
  running.child.kill("SIGTERM");
  assert.equal((await running.ended()).code, 0);
  assert.deepEqual(toRoots, []);
});

test("a manager that is not there, or whose name is none, costs nothing", async (t) => {
  for (const name of ["/nowhere/notify", "relative", "@", "/", `/${"x".repeat(200)}`, "vsock:2:1234"]) {
    const running = await start(t, { env: { NOTIFY_SOCKET: name } });
    running.child.kill("SIGTERM");
    assert.equal((await running.ended()).code, 0, name);
  }
});
