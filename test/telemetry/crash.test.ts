/** Crash reports: what is told, to whom, and that nothing of it exists unless SENTRY_DSN asks for it. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { describeCrash } from "../../src/telemetry/crash.ts";
import { parseTags } from "../../src/telemetry/crash-report.ts";
import { MAIN } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT, until } from "../support/patience.ts";
import { needsLoopback, needsReadable, needsRoot } from "../support/tools.ts";

const PACKAGE = new URL("../../package.json", import.meta.url);
/** An ordinary user: with root's rights nothing is told. */
const NOBODY = 65_534;
const NEEDS = { ...needsLoopback(), ...needsReadable(), ...LIMIT };
const SECRET = "bank-of-alice";

/** Stands for Sentry: keeps what is posted. */
async function sentry(t: TestContext) {
  const posts: { readonly path: string; readonly body: string }[] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    posts.push({ path: request.url!, body: Buffer.concat(parts).toString() });
    response.end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { posts, dsn: `http://public@127.0.0.1:${port}/42` };
}

/** A module that breaks softnet from inside, as a fault of its own would. */
function sabotage(t: TestContext, how: string): string {
  const folder = temporaryFolder(t);
  const path = join(folder, "sabotage.mjs");
  // Not in the process that reports.
  writeFileSync(path, `if (!process.argv.includes("--send-crash-report")) { ${how} }\n`);
  spawnSync("chmod", ["-R", "a+rwX", folder]);
  return path;
}

const LATER = (error: string) => `setTimeout(() => { throw ${error}; }, 300);`;

/** Starts softnet from source, broken, and waits for its end. */
async function crash(module: string, env: NodeJS.ProcessEnv, uid: number) {
  // A crash cleans nothing up: the socket goes with the sabotage's folder.
  const args = ["--import", module, MAIN, "--vm-socket", join(dirname(module), "vm.sock")];
  const more = ["--vm-mac-address", "02:00:00:00:00:11", "--host-fd", "3"];
  const child = spawn(process.execPath, [...args, ...more], {
    stdio: ["ignore", "ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, ...env },
    uid,
    gid: uid,
  });
  let stderr = "";
  child.stderr!.on("data", (data) => {
    stderr += data;
  });
  const [code] = await once(child, "close");
  return { code, stderr };
}

async function arrives<T>(list: readonly T[]): Promise<T> {
  await until("a report arrives", () => list.length > 0);
  return list[0]!;
}

const asRoot = process.getuid?.() === 0;
const uid = asRoot ? NOBODY : process.getuid!();

test("a crash is told to Sentry with version, tags and place, and no word from outside", NEEDS, async (t) => {
  const { posts, dsn } = await sentry(t);
  const module = sabotage(t, LATER(`new TypeError("cannot parse '${SECRET}' here")`));
  const { code, stderr } = await crash(module, { SENTRY_DSN: dsn, CIRRUS_SENTRY_TAGS: "task=7,pool=mac" }, uid);
  assert.equal(code, 1);
  assert.match(stderr, /TypeError/); // the user sees all of it
  const { path, body } = await arrives(posts);
  assert.match(path, /^\/api\/42\/envelope\//);
  const [, item, event] = body.split("\n").map((line) => JSON.parse(line || "null"));
  assert.equal(item.type, "event");
  assert.deepEqual(event.tags, { task: "7", pool: "mac" });
  assert.equal(event.release, `softnet@${JSON.parse(readFileSync(PACKAGE, "utf8")).version}`);
  assert.equal(event.level, "fatal");
  const [exception] = event.exception.values;
  assert.equal(exception.type, "TypeError");
  assert.equal(exception.value, "cannot parse … here");
  assert.equal(exception.stacktrace.frames.at(-1).filename, "sabotage.mjs");
  for (const hidden of [SECRET, "/tmp", "02:00:00", process.cwd()]) assert.ok(!body.includes(hidden), hidden);
});

test("a rejection that nobody handles is a crash too", NEEDS, async (t) => {
  const { posts, dsn } = await sentry(t);
  const module = sabotage(t, `setTimeout(() => void Promise.reject(new Error("${SECRET}")), 300);`);
  assert.equal((await crash(module, { SENTRY_DSN: dsn }, uid)).code, 1);
  const { body } = await arrives(posts);
  assert.ok(body.includes(`"type":"Error"`));
  assert.ok(!body.includes(SECRET));
});

test("a user's mistake is told to nobody", NEEDS, async (t) => {
  const { posts, dsn } = await sentry(t);
  const env = { PATH: process.env.PATH, SENTRY_DSN: dsn };
  const { status, stderr } = spawnSync(process.execPath, [MAIN, "--vm-fd", "x"], { env, encoding: "utf8", uid });
  assert.equal(status, 1);
  assert.match(stderr, /^softnet: /);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(posts, []);
});

test("with root's rights nothing is told", { ...LIMIT, ...needsLoopback(), ...needsRoot() }, async (t) => {
  const { posts, dsn } = await sentry(t);
  // Before the drop: what sudo would be given is looked at a second time.
  const how = `let times = 0;
    process.argv.slice = function (...range) {
      if (times++ === 1) throw new TypeError("broken");
      return Array.prototype.slice.apply(this, range);
    };`;
  const module = sabotage(t, how);
  const { code, stderr } = await crash(module, { SENTRY_DSN: dsn }, 0);
  assert.equal(code, 1);
  assert.match(stderr, /TypeError: broken/);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.deepEqual(posts, []);
});

test("without SENTRY_DSN, and before a crash with it, nothing of Sentry's is loaded", NEEDS, async (t) => {
  const { posts, dsn } = await sentry(t);
  // Tells each file that Node loads.
  const module = sabotage(
    t,
    `const { registerHooks } = await import("node:module");
     registerHooks({ load(url, context, next) { process.stderr.write("loads " + url + "\\n"); return next(url, context); } });
     ${LATER("new TypeError()")}`,
  );
  for (const env of [{}, { SENTRY_DSN: "" }, { SENTRY_DSN: dsn }]) {
    const { stderr } = await crash(module, env, uid);
    assert.match(stderr, /loads .*commands\/run\.ts/);
    assert.match(stderr, /loads .*koffi/);
    assert.doesNotMatch(stderr, /loads .*sentry/i);
    assert.doesNotMatch(stderr, /loads .*crash-report/);
  }
  await arrives(posts);
  assert.equal(posts.length, 1);
});

test("a report says nothing that may be a guest's", () => {
  const cases: readonly (readonly [unknown, string, string])[] = [
    [new TypeError(`The "a" argument must be of type string. Received "${SECRET}"`), "TypeError", "The …"],
    [new RangeError("offset is out of bounds"), "RangeError", "offset is out of bounds"],
    [new SyntaxError(`Unexpected token in ${SECRET}`), "SyntaxError", ""],
    [new Error(SECRET), "Error", ""],
    [Object.assign(new Error(`open '/${SECRET}'`), { code: "ENOENT", syscall: "open" }), "Error", "ENOENT open"],
    [SECRET, "string", ""],
    [undefined, "undefined", ""],
  ];
  for (const [error, type, value] of cases) {
    const found = describeCrash(error);
    assert.deepEqual([found.type, found.value], [type, value]);
    assert.ok(!JSON.stringify(found).includes(SECRET));
  }
  const { frames } = describeCrash(new RangeError("x"));
  assert.match(frames[0]!.filename, /^[^/]*crash\.test\.ts$/);
  assert.ok(frames[0]!.lineno > 100);
});

test("tags are k=v,k=v; what has no name or no value is none", () => {
  assert.deepEqual(parseTags("a=b, c=d=e,f,=g,h=,,"), { a: "b", c: "d=e" });
  assert.deepEqual(parseTags(""), {});
});
