/** `softnet fleet agent` as a process of an ordinary user's, and the other commands against a real nats-server. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { writeKept } from "../../src/fleet/kept-documents.ts";
import { initialize, setDocument } from "../../src/fleet/operator.ts";
import { groupKey, vmKey } from "../../src/fleet/places.ts";
import { place, READABLE, STATIC } from "../commands/control-support.ts";
import { MAIN, softnet } from "../support/cli.ts";
import { LIMIT } from "../support/patience.ts";
import { startSoftnet, until } from "../support/running.ts";
import { needs, pathOf } from "../support/tools.ts";
import { natsServers, operator } from "./nats.ts";

const PRINTABLE = /^[ -~\n]+$/;
/** Nobody else's: an agent speaks to all VMs of its user on this machine, and other tests' are nobody's. */
const USER = 64_017;
const AS_USER = process.getuid?.() === 0 ? { uid: USER } : {};
const NEEDS = { ...LIMIT, ...READABLE, ...needs("nats-server", "promtool") };

interface Lines {
  readonly child: ChildProcess;
  readonly text: () => string;
}

/** `softnet fleet …` that goes on; ended with the test. */
function start(t: TestContext, args: readonly string[], env: NodeJS.ProcessEnv = {}): Lines {
  let text = "";
  const child = spawn(process.execPath, [MAIN, "fleet", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
    ...(AS_USER.uid !== undefined && { uid: USER, gid: USER }),
  });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk));
  t.after(() => child.kill("SIGKILL"));
  return { child, text: () => text };
}

function folder(t: TestContext, name: string): string {
  const path = place(t, name);
  mkdirSync(path, { mode: 0o700 });
  if (process.getuid!() === 0) chownSync(path, USER, USER);
  return path;
}

/** Asks over a unix socket, as a Prometheus would. */
function scrape(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path: "/metrics", agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk)).on("end", () => resolve(text));
    }).on("error", reject);
  });
}

const block = (...rules: readonly string[]): string => JSON.stringify({ block: rules });

test("an agent works before NATS is there: what it knew last is in force, and it catches up", NEEDS, async (t) => {
  const servers = await natsServers(t);
  const [server] = servers;
  await server!.kill();
  const [runtime, state] = [folder(t, "runtime"), folder(t, "state")];
  const env = { XDG_RUNTIME_DIR: runtime };
  writeKept(state, { entries: { "group.web": { revision: 1, text: block("192.0.2.1/32") } }, own: {} });
  if (process.getuid!() === 0) chownSync(join(state, "documents.json"), USER, USER);
  const args = [...STATIC, "--name", "web-1", "--label", "web", "--require-policy"];
  await startSoftnet(t, { ...AS_USER, env, args });
  const control = join(runtime, "softnet", "web-1", "ctl");
  const policy = (): string => softnet(["ctl", control, "get"]).stdout;
  await until("the VM's socket", () => existsSync(control));
  const [socket, textfile] = [join(state, "metrics.sock"), join(state, "agent.prom")];
  const metrics = ["--metrics", `unix:${socket}`, "--textfile", textfile];
  const connection = ["--nats", server!.url];
  const agent = start(t, ["agent", ...connection, "--host", "h.1", "--state", state, ...metrics], env);
  await until(`the policy\n${agent.text()}`, () => policy().includes("192.0.2.1/32") || undefined);
  await until(
    "the reason is told",
    () => /there is no connection to NATS.*connection refused/.test(agent.text()) || undefined,
  );
  const before = await scrape(socket);
  assert.match(before, /^softnet_fleet_connected\{host="h\.1"\} 0$/m);
  assert.match(before, /^softnet_fleet_vms\{host="h\.1",policy="in_force"\} 1$/m);

  await server!.start();
  const admin = await operator(t, servers);
  await initialize(admin, 1);
  await setDocument(admin, groupKey("web"), block("192.0.2.2/32"));
  await setDocument(admin, groupKey("web"), block("192.0.2.3/32"));
  await until("it has caught up", () => policy().includes("192.0.2.3/32") || undefined);
  const isConnected = /^softnet_fleet_connected\{host="h\.1"\} 1$/m;
  const after = await until("it is counted", async () => {
    const text = await scrape(socket); // the same for a second
    return isConnected.test(text) ? text : undefined;
  });
  assert.match(after, /^softnet_fleet_documents\{host="h\.1",state="valid"\} 1$/m);
  assert.match(after, /^softnet_fleet_policy_change_age_seconds\{host="h\.1"\} \d/m);
  assert.doesNotMatch(after, /web|192\.0\.2/, "no name of a VM, and nothing that came from NATS");
  const input = readFileSync(textfile, "utf8");
  const checked = spawnSync(pathOf("promtool")!, ["check", "metrics"], { input, encoding: "utf8" });
  assert.deepEqual([checked.status, checked.stdout, checked.stderr], [0, "", ""]);

  const run = (...words: readonly string[]) => softnet(["fleet", ...words, ...connection]);
  await until("it is told of", () => run("list").stdout.includes("web-1") || undefined);
  assert.match(run("list", "--label", "web").stdout, /^h\.1 +web-1 +192\.168\.64\.9 +group web +\d+ +\d+ +\S+ +-$/m);
  assert.equal(run("list", "--label", "db").stdout, "");
  const status = run("status", "web-1");
  assert.match(status.stdout, /^fleet +group web decides, revision \d+ in force since 20\S+Z$/m, status.stderr);
  const explained = run("explain", "h.1/web-1", "out", "tcp", "192.0.2.3", "443").stdout;
  assert.match(explained, /drop/);
  assert.match(explained, /^fleet +group web decides/m);
  const file = join(state, "wrong.json");
  writeFileSync(file, '{"block":["nonsense\\u001b[2J"]}');
  const refused = run("set", "vm", "web-1", "--file", file);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /^softnet: .*nonsense/);
  assert.match(refused.stderr, PRINTABLE);

  // Somebody writes past the check: what is in force is told, and what is wanted, and why it is not.
  const { jetstream } = await import("@nats-io/jetstream");
  const { Kvm } = await import("@nats-io/kv");
  await (await new Kvm(jetstream(admin)).open("softnet_policy")).put(vmKey("web-1"), block("nonsense\u009b"));
  await until("the mistake is told", () => run("list").stdout.includes("nonsense") || undefined);
  const mistaken = run("explain", "web-1", "out", "tcp", "192.0.2.3", "443").stdout;
  assert.match(mistaken, /^fleet +group web decides, revision \d+ in force/m);
  assert.match(mistaken, /^ +vm web-1 is wanted, revision \d+: .*nonsense/m);
  for (const words of [
    ["list", "--json"],
    ["status", "web-1", "--json"],
    ["get", "vm", "web-1", "--json"],
  ]) {
    assert.match(run(...words).stdout, PRINTABLE, words.join(" "));
  }

  const ended = once(agent.child, "exit");
  agent.child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  const away = run("status", "web-1");
  assert.equal(away.status, 1);
  assert.match(away.stdout, /^fleet +the agent of h\.1 does not answer; it told this last, at 20\S+Z:$/m);
  assert.match(away.stdout, /^fleet +group web decides, revision \d+ in force since 20\S+Z$/m);
  assert.ok(policy().includes("192.0.2.3/32"), "the VM keeps what it has");
});

test("an agent's mistakes are one line each", NEEDS, (t) => {
  const state = folder(t, "state");
  for (const [words, message] of [
    [["--shared-network", "lan"], /^softnet: --shared-network "lan": give NAME=BRIDGE/],
    [["--metrics", "0.0.0.0:80"], /^softnet: --metrics "0\.0\.0\.0:80" is not valid/],
    [["--textfile", `${state}/x`], /^softnet: --textfile .*\.prom/],
    [["--creds", `${state}/none`], /^softnet: --creds .* cannot be read \(ENOENT\)/],
    [["--host", "a b"], /^softnet: --host "a b" is no name/],
  ] as const) {
    const ran = softnet(["fleet", "agent", "--nats", "nats://127.0.0.1:1", "--state", state, ...words]);
    assert.equal(ran.status, 1);
    assert.match(ran.stderr, message);
    assert.equal(ran.stderr.trimEnd().split("\n").length, 1, ran.stderr);
  }
});
