/**
 * Prometheus as it is reads what `softnet metrics` says about two running VMs: promtool checks the text, and a Prometheus in
 * a network namespace of its own scrapes it and answers a query.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { NOBODY, place, STATIC, udp } from "../commands/control-support.ts";
import { MAIN, softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { LIMIT, until } from "../support/patience.ts";
import { type Running, startSoftnet } from "../support/running.ts";
import { needs, needsReadable, needsRoot, pathOf } from "../support/tools.ts";
import { Program } from "./harness/program.ts";

const NEEDS = { ...LIMIT, ...needs("prometheus", "promtool", "ip"), ...needsReadable(), ...needsRoot() };
const FAR = 0x01010101;
const PRIVATE = 0x0a000001;

interface Vms {
  readonly env: { readonly XDG_RUNTIME_DIR: string };
  readonly one: Running;
  readonly other: Running;
}

/** Two VMs of a user's: three frames of the first pass, two are dropped. */
async function twoVms(t: TestContext): Promise<Vms> {
  const runtime = place(t, "runtime");
  mkdirSync(runtime, { mode: 0o700 });
  chownSync(runtime, NOBODY, NOBODY);
  const env = { XDG_RUNTIME_DIR: runtime };
  const start = (name: string) => startSoftnet(t, { uid: NOBODY, env, args: [...STATIC, "--name", name] });
  const [one, other] = [await start("web-1"), await start("db.2")];
  for (const name of ["web-1", "db.2"]) await until(name, () => existsSync(join(runtime, "softnet", name, "ctl")));
  for (const destination of [FAR, PRIVATE, FAR, PRIVATE, FAR]) one.vm.send(udp(destination));
  for (let index = 0; index < 3; index++) await until("a frame", () => one.network.receive());
  return { env, one, other };
}

const samples = (text: string, name: string): string[] => text.split("\n").filter((line) => line.startsWith(name));

test("promtool accepts the text, which has what each VM's softnet counted", NEEDS, async (t) => {
  const { env, one } = await twoVms(t);
  const { status, stdout, stderr } = softnet(["metrics"], { uid: NOBODY, env });
  assert.deepEqual([status, stderr], [0, ""]);
  assert.ok(stdout.endsWith("\n# EOF\n"));
  assert.deepEqual(samples(stdout, 'softnet_frames_total{vm="web-1",direction="egress"'), [
    'softnet_frames_total{vm="web-1",direction="egress",verdict="pass"} 3',
    'softnet_frames_total{vm="web-1",direction="egress",verdict="drop"} 2',
  ]);
  assert.deepEqual(samples(stdout, 'softnet_drops_total{vm="web-1"'), [
    'softnet_drops_total{vm="web-1",direction="egress",reason="policy.destination"} 2',
  ]);
  assert.deepEqual(samples(stdout, 'softnet_up{vm="db.2"}'), ['softnet_up{vm="db.2"} 1']);
  assert.doesNotMatch(stdout, /1\.1\.1\.1|10\.0\.0\.1/);

  const older = softnet(["metrics", "--format", "prometheus"], { uid: NOBODY, env }).stdout;
  const checked = spawnSync(pathOf("promtool")!, ["check", "metrics"], { input: older, encoding: "utf8" });
  assert.deepEqual([checked.status, checked.stdout, checked.stderr], [0, "", ""]);

  const file = join(env.XDG_RUNTIME_DIR, "softnet.prom");
  const written = softnet(["metrics", "--textfile", file], { uid: NOBODY, env });
  assert.deepEqual([written.status, written.stdout, written.stderr], [0, "", ""]);
  assert.match(readFileSync(file, "utf8"), /^softnet_up\{vm="web-1"\} 1$/m);
  one.child.kill("SIGTERM");
  await one.ended();
  softnet(["metrics", "--textfile", file], { uid: NOBODY, env });
  assert.doesNotMatch(readFileSync(file, "utf8"), /web-1/, "an ended VM is forgotten");
});

test("a Prometheus scrapes it on loopback, and answers a query", NEEDS, async (t) => {
  const { env } = await twoVms(t);
  t.after(enterFreshNamespace());
  ip("link", "set", "lo", "up");
  // Root starts it, and it becomes nobody before it listens.
  const listener = new Program(process.execPath, [MAIN, "metrics", "--listen", "127.0.0.1:9965"], { env });
  t.after(async () => {
    process.kill(listener.pid, "SIGTERM");
    assert.equal((await listener.exited).code, 0, listener.stderr.join("\n"));
  });
  await listener.line(/metrics at 127\.0\.0\.1:9965/);
  const status = readFileSync(`/proc/${listener.pid}/status`, "utf8");
  assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
  assert.match(status, /^CapEff:\t0+$/m);

  const folder = temporaryFolder(t);
  const config = join(folder, "prometheus.yml");
  const job = "{job_name: softnet, static_configs: [{targets: ['127.0.0.1:9965']}]}";
  writeFileSync(config, `{global: {scrape_interval: 1s}, scrape_configs: [${job}]}\n`);
  const prometheus = new Program(pathOf("prometheus")!, [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    "--web.listen-address=127.0.0.1:9090",
  ]);
  t.after(async () => {
    process.kill(prometheus.pid, "SIGTERM");
    await prometheus.exited;
  });
  await prometheus.line(/Server is ready to receive web requests/);
  const query = encodeURIComponent('sum by (vm, reason) (softnet_drops_total{vm="web-1"})');
  const result = await until("the query's answer", async () => {
    const response = await fetch(`http://127.0.0.1:9090/api/v1/query?query=${query}`);
    const { data } = (await response.json()) as { data: { result: { metric: object; value: [number, string] }[] } };
    return data.result[0];
  });
  assert.deepEqual(result.metric, { vm: "web-1", reason: "policy.destination" });
  assert.equal(result.value[1], "2");
  const targets = await (await fetch("http://127.0.0.1:9090/api/v1/targets")).json();
  assert.equal((targets as { data: { activeTargets: { lastError: string }[] } }).data.activeTargets[0]!.lastError, "");
});
