/** `--learn`: what a run used becomes a list with which the same run passes, and nothing else. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parsePolicy } from "../../src/control/policy-file.ts";
import { completePolicy } from "../../src/policy/only.ts";
import { LearnedRules } from "../../src/session/learned-rules.ts";
import { Log } from "../../src/telemetry/log.ts";
import { echoOut } from "../guard/flow-support.ts";
import { fromVm, helloFor, text } from "../guard/names/segments.ts";
import { HTTPS, question, RESOLVER, World } from "../guard/names/world.ts";
import { udp } from "../guard/support.ts";

const NAME = "registry.npmjs.org";
const CDN = "104.16.0.1";
const GIT = "140.82.0.3";
const RAW = "203.0.114.9";
const HELLO = await helloFor(NAME);

const LOG = new Log({ level: "error", format: "text", write: () => true });

/** What the job does; returns what was dropped. */
function job(world: World): string[] {
  const said = [
    world.ask(NAME),
    world.answered(NAME, [[NAME, 1, 60, CDN]]),
    world.connect(CDN, 443, 40_000),
    world.say(CDN, HELLO, 0, 443, 40_000),
    world.ask("git.example.com"),
    world.answered("git.example.com", [["git.example.com", 1, 60, GIT]]),
    world.connect(GIT, 22, 40_001),
    world.say(GIT, text("SSH-2.0-git\r\n"), 0, 22, 40_001),
    world.connect(RAW, 8080, 40_002),
    world.out(udp(5000, 123, { destination: RAW })),
    world.connect(RAW, 80, 40_003),
    world.out(fromVm(0, text("GET / HTTP/1.0\r\n\r\n"), { destination: RAW, port: 80, own: 40_003 })),
    world.out(echoOut(8)),
  ];
  return said.filter((verdict) => verdict !== "pass");
}

test("the list that a run wrote, given to the next one, lets the same job pass", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-learn-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "rules");
  const learned = new LearnedRules(path, LOG);
  const open = new World([], { learn: true, live: true });
  assert.deepEqual(job(open), []);
  for (const event of open.events) learned.note(event);
  learned.close();
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const file = readFileSync(path, "utf8");
  assert.deepEqual(file.split("\n").slice(1, -1), [
    `only ${RAW}/32:123`,
    `only ${RAW}/32:80`,
    `only ${RAW}/32:8080`,
    "only 93.184.216.34/32",
    "only git.example.com:22",
    `only ${NAME}`,
  ]);
  const rules = completePolicy(parsePolicy(file, "file"));
  const closed = new World([], { rules });
  assert.deepEqual(job(closed), []);
  assert.equal(closed.ask("evil.net"), "dns.denied");
  assert.equal(closed.connect("203.0.114.10", 443, 41_000), "name.unpinned");
});

test("learning closes nothing that is open, and answers nothing more", () => {
  const world = new World([], { learn: true, live: true });
  assert.equal(world.ask("anything.example.org", { type: 255 }), "pass");
  assert.equal(world.connect("9.9.9.9", 853), "pass");
  assert.equal(world.out(udp(4000, 443, { destination: "9.9.9.9" })), "pass");
  assert.equal(world.refused(udp(4000, 443, { destination: "10.1.2.3" })).answer, undefined);
  const https = world.refused(
    udp(5453, 53, { destination: RESOLVER }, question("anything.example.org", { type: HTTPS })),
  );
  assert.equal(https.answer?.destinationPort, 5453);
});

test("a file in a folder that is not there, and a link in its place, are refused", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-learn-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  symlinkSync("/dev/null", join(folder, "link"));
  for (const path of [join(folder, "none", "rules"), join(folder, "link")]) {
    assert.throws(() => new LearnedRules(path, LOG), /--learn .*: the file cannot be written/);
  }
});
