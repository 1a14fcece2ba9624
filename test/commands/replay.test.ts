/** `softnet replay` as a user runs it, on captures that softnet's writer made. */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CaptureWriter } from "../../src/capture/index.ts";
import { emitArp } from "../../src/wire/arp.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";

const VM = 0x020000000011;
const ROUTER = 0x020000000001;
const MAC = ["--vm-mac-address", "02:00:00:00:00:11"];
const STATIC = ["--vm-ip-address", "192.168.64.9"];
const ip = (a: number, b: number, c: number, d: number): number => ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;

const whoHas = emitEthernet(
  0xffffffffffff,
  VM,
  0x0806,
  emitArp({
    operation: 1,
    senderHardware: VM,
    senderProtocol: ip(192, 168, 64, 9),
    targetHardware: 0,
    targetProtocol: ip(192, 168, 64, 1),
  }),
);
const toNeighbour = emitEthernet(
  ROUTER,
  VM,
  0x0800,
  emitUdp(
    { source: ip(192, 168, 64, 9), destination: ip(10, 0, 0, 1), sourcePort: 1, destinationPort: 2 },
    new Uint8Array(10),
  ),
);
const toInternet = emitEthernet(
  ROUTER,
  VM,
  0x0800,
  emitUdp(
    { source: ip(192, 168, 64, 9), destination: ip(1, 1, 1, 1), sourcePort: 1, destinationPort: 2 },
    new Uint8Array(10),
  ),
);
const fromRouter = emitEthernet(
  VM,
  ROUTER,
  0x0800,
  emitUdp(
    { source: ip(1, 1, 1, 1), destination: ip(192, 168, 64, 9), sourcePort: 2, destinationPort: 1 },
    new Uint8Array(10),
  ),
);

/** Writes frames as (interface, microseconds, frame). */
function capture(
  path: string,
  frames: readonly (readonly [number, number, Uint8Array])[],
  names = ["a", "b"],
  maximumFrame = 2000,
) {
  const interfaces = names.map((name) => ({ name, description: name }));
  const writer = new CaptureWriter({ path, application: "softnet test", maximumSize: 1e6, maximumFrame, interfaces });
  for (const [port, time, frame] of frames) writer.write(port, time, frame, 0, frame.length, undefined);
  writer.close();
}

const json = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("one JSON object a frame, and a summary", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, [
    [0, 1_700_000_000_000_000, whoHas],
    [0, 1_700_000_000_250_001, toNeighbour],
    [1, 1_700_000_001_234_567, fromRouter],
  ]);
  const { status, stdout, stderr } = softnet(["replay", path, ...MAC, ...STATIC, "--json"]);
  assert.equal(stderr, "");
  assert.equal(status, 0);
  assert.equal(
    stdout,
    [
      '{"frame":1,"time":0,"direction":"egress","verdict":"pass","length":60}',
      '{"frame":2,"time":0.250001,"direction":"egress","verdict":"drop","reason":"policy.destination","length":60}',
      '{"frame":3,"time":1.234567,"direction":"ingress","verdict":"pass","length":60}',
      '{"summary":{"pass":2,"drop":1,"reasons":{"policy.destination":1}}}',
      "",
    ].join("\n"),
  );
});

test("a table for people, with a description of each frame", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, [
    [0, 5, whoHas],
    [0, 6, toNeighbour],
  ]);
  const { status, stdout } = softnet(["replay", path, ...MAC, ...STATIC]);
  assert.equal(status, 0);
  assert.match(stdout, /ARP who-has 192\.168\.64\.1 tell 192\.168\.64\.9/);
  assert.match(stdout, /policy\.destination .*UDP 192\.168\.64\.9:1 > 10\.0\.0\.1:2/);
  assert.match(stdout, /1 passed, 1 dropped/);
});

test("rules, gateway and server are those of the command line", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, [
    [0, 5, toNeighbour],
    [0, 6, toInternet],
  ]);
  const rules = ["--allow", "10.0.0.0/8", "--block", "1.0.0.0/8"];
  const lines = json(softnet(["replay", path, ...MAC, ...STATIC, "--json", ...rules]).stdout);
  assert.deepEqual(
    lines.slice(0, 2).map(({ reason }) => reason),
    [undefined, "policy.block"],
  );
});

test("the direction is by MAC, or as the options say", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, [
    [1, 5, toInternet],
    [0, 6, fromRouter],
  ]);
  const directions = (...options: string[]) =>
    json(softnet(["replay", path, ...MAC, ...STATIC, "--json", ...options]).stdout)
      .slice(0, 2)
      .map(({ direction }) => direction);
  assert.deepEqual(directions(), ["egress", "ingress"]);
  assert.deepEqual(directions("--from-vm"), ["egress", "egress"]);
  assert.deepEqual(directions("--from-host"), ["ingress", "ingress"]);
  assert.deepEqual(directions("--vm-interface", "0"), ["ingress", "egress"]);
  assert.deepEqual(directions("--vm-interface", "1"), ["egress", "ingress"]);
});

test("in a capture that softnet wrote the interface tells the direction: a spoofed source stays the VM's", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, [[0, 5, fromRouter]], ["softnet-vm", "softnet-network"]);
  const [line] = json(softnet(["replay", path, ...MAC, ...STATIC, "--json"]).stdout);
  assert.deepEqual([line.direction, line.reason], ["egress", "ethernet.source"]);
});

test("a timestamp before the last counts as the last", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, [
    [0, 5_000_000, whoHas],
    [0, 7_000_000, whoHas],
    [0, 6_000_000, whoHas],
  ]);
  const lines = json(softnet(["replay", path, ...MAC, ...STATIC, "--json"]).stdout);
  assert.deepEqual(
    lines.slice(0, 3).map(({ time }) => time),
    [0, 2, 2],
  );
});

test("L10 a frame that the snap length cut is truncated, with its original length", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, [[0, 5, toInternet]], ["a", "b"], 40);
  const [line] = json(softnet(["replay", path, ...MAC, ...STATIC, "--json"]).stdout);
  assert.deepEqual([line.verdict, line.reason, line.length], ["drop", "frame.truncated", 60]);
});

test("a capture that breaks off prints the summary of its whole frames, then one line, exit 1", (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "x.pcapng");
  capture(path, [
    [0, 5, toInternet],
    [0, 6, toInternet],
  ]);
  const broken = join(folder, "broken.pcapng");
  writeFileSync(broken, readFileSync(path).subarray(0, -10));
  const { status, stdout, stderr } = softnet(["replay", broken, ...MAC, ...STATIC, "--json"]);
  assert.equal(status, 1);
  assert.match(stderr, /^softnet: .*broken\.pcapng[^\n]*\n$/);
  assert.deepEqual(json(stdout).at(-1), { summary: { pass: 1, drop: 0, reasons: {} } });
});

test("exit 0 whatever the verdicts, also for no frame at all", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, []);
  const { status, stdout } = softnet(["replay", path, ...MAC, "--json"]);
  assert.equal(status, 0);
  assert.equal(stdout, '{"summary":{"pass":0,"drop":0,"reasons":{}}}\n');
});

test("results that cannot be written are one line and exit 1", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  capture(path, []);
  const full = openSync("/dev/full", "w");
  const { status, stderr } = softnet(["replay", path, ...MAC], { stdio: ["ignore", full, "pipe"] });
  closeSync(full);
  assert.deepEqual([status, stderr], [1, "softnet: standard output cannot be written (ENOSPC)\n"]);
});

test("--policy and rules with direction and port judge a capture too", (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "frames.pcapng");
  const policy = join(folder, "policy");
  capture(path, [
    [0, 1, toInternet],
    [1, 2, fromRouter],
    [0, 3, toNeighbour],
  ]);
  writeFileSync(policy, "allow out 10.0.0.0/8:2 # the neighbour\nblock in 0.0.0.0/0\n");
  const verdicts = (...more: readonly string[]) => {
    const { stdout } = softnet(["replay", path, ...MAC, ...STATIC, "--json", ...more]);
    return json(stdout).flatMap(({ verdict, reason }) => (verdict === undefined ? [] : [reason ?? verdict]));
  };
  assert.deepEqual(verdicts(), ["pass", "pass", "policy.destination"]);
  assert.deepEqual(verdicts("--policy", policy), ["pass", "pass", "pass"]);
  assert.deepEqual(verdicts("--policy", policy, "--block", "out 1.1.1.1/32:2"), [
    "policy.block",
    "policy.block",
    "pass",
  ]);
});
