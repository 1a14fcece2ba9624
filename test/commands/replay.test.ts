/** `softnet replay` as a user runs it, on captures that softnet's writer made. */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { CaptureWriter } from "../../src/capture/index.ts";
import { emitArp } from "../../src/wire/arp.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { block, join as bytesOf, description, enhanced, section, u32 } from "../capture/build.ts";
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

/* G23: captures that are damaged, or not Ethernet throughout */

test("G23 a capture that is damaged in the middle prints the summary of what came before, then one line, exit 1", (t) => {
  const path = join(temporaryFolder(t), "x.pcapng");
  const file = bytesOf(
    section(true),
    description(true, 1, 0),
    enhanced(true, { bytes: toInternet }),
    block(true, 6, u32(0)),
    enhanced(true, { bytes: toInternet }),
  );
  writeFileSync(path, file);
  const { status, stdout, stderr } = softnet(["replay", path, ...MAC, ...STATIC, "--json"]);
  assert.equal(status, 1);
  assert.match(stderr, /^softnet: [^\n]*at byte [^\n]*\n$/);
  assert.deepEqual(json(stdout).at(-1), { summary: { pass: 1, drop: 0, reasons: {} } });
});

/** A capture of the VM's card and of the host's Wi-Fi. */
function mixed(t: TestContext): string {
  const path = join(temporaryFolder(t), "x.pcapng");
  const wifi = enhanced(true, { interface: 1, bytes: toInternet });
  const file = [
    section(true),
    description(true, 1, 0),
    description(true, 105, 0),
    wifi,
    enhanced(true, { bytes: toInternet }),
    wifi,
  ];
  writeFileSync(path, bytesOf(...file));
  return path;
}

test("G23 frames of an interface that is not Ethernet are left out and counted, whichever way is chosen", (t) => {
  const path = mixed(t);
  for (const chosen of [[], ["--vm-interface", "0"], ["--from-vm"]]) {
    const { status, stdout, stderr } = softnet(["replay", path, ...MAC, ...STATIC, "--json", ...chosen]);
    assert.deepEqual([status, stderr], [0, ""]);
    const lines = json(stdout);
    assert.deepEqual([lines[0].frame, lines[0].direction, lines[0].verdict], [2, "egress", "pass"]);
    assert.deepEqual(lines[1], { summary: { pass: 1, drop: 0, reasons: {}, skipped: 2 } });
  }
  assert.match(
    softnet(["replay", path, ...MAC, ...STATIC]).stdout,
    /^2 of interfaces that are not Ethernet: left out$/m,
  );
});

test("G23 where the chosen interface is not Ethernet, that is an error", (t) => {
  const { status, stdout, stderr } = softnet(["replay", mixed(t), ...MAC, ...STATIC, "--json", "--vm-interface", "1"]);
  assert.equal(status, 1);
  assert.match(stderr, /^softnet: [^\n]*link type 105 \(Wi-Fi\) is not Ethernet; [^\n]*\n$/);
  assert.equal(json(stdout).at(-1).summary.skipped, 2);
});

/* G22: captures that were taken at the sender */

const CHECKSUM_OF_UDP = 14 + 20 + 6;

/** A DISCOVER of the VM's, as it goes over the wire. */
function discover(): Uint8Array {
  const message = new Uint8Array(244);
  message.set([1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78]);
  message.set([2, 0, 0, 0, 0, 0x11], 28);
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255], 236);
  const addresses = { source: 0, destination: 0xffffffff, sourcePort: 68, destinationPort: 67 };
  return emitEthernet(0xffffffffffff, VM, 0x0800, emitUdp(addresses, message));
}

/** With another UDP checksum. */
function summed(checksum: number): Uint8Array {
  const frame = discover();
  frame.set([checksum >>> 8, checksum & 255], CHECKSUM_OF_UDP);
  return frame;
}

/** What Linux writes there before the card: the sum of 0.0.0.0, 255.255.255.255, 17 and the length, 252. */
const PARTIAL = 0xffff + 17 + 252 - 0xffff;

/** As before segmentation: no total length, no header checksum. */
function withoutLength(): Uint8Array {
  const frame = Uint8Array.from(toInternet);
  frame.set([0, 0], 14 + 2);
  return frame.subarray(0, 14 + 20 + 8 + 10);
}

function withoutHeaderChecksum(): Uint8Array {
  const frame = Uint8Array.from(toInternet);
  frame.set([0, 0], 14 + 10);
  return frame;
}

/** A pcapng file with exactly these frames: softnet's writer would pad none, and neither does this. */
function raw(t: TestContext, ...frames: readonly Uint8Array[]): string {
  const path = join(temporaryFolder(t), "x.pcapng");
  const packets = frames.map((bytes) => enhanced(true, { bytes }));
  writeFileSync(path, bytesOf(section(true), description(true, 1, 0), ...packets));
  return path;
}

test("G22 what was left to the sender's card is said to be so, and --offloads fills it in", (t) => {
  const path = raw(t, summed(PARTIAL), withoutLength(), withoutHeaderChecksum());
  const judge = (...more: string[]) => json(softnet(["replay", path, ...MAC, ...STATIC, "--json", ...more]).stdout);
  const before = judge();
  assert.deepEqual(
    before.slice(0, 3).map(({ reason }) => reason),
    ["dhcp.checksum", "ipv4.format", "ipv4.checksum"],
  );
  assert.equal(before[3].summary.offloads, 3);
  const after = judge("--offloads");
  assert.deepEqual(
    after.slice(0, 3).map(({ verdict }) => verdict),
    ["pass", "pass", "pass"],
  );
  assert.deepEqual(after[3].summary, { pass: 3, drop: 0, reasons: {} });
  const { stdout } = softnet(["replay", path, ...MAC, ...STATIC]);
  assert.match(
    stdout,
    /^3 of the dropped were captured on the sending host, before its card finished them: --offloads/m,
  );
});

test("G22 a checksum that is wrong in another way stays wrong, and a right one right", (t) => {
  const short = discover().subarray(0, -1);
  const path = raw(t, summed(PARTIAL + 1), short, discover(), toInternet);
  const lines = json(softnet(["replay", path, ...MAC, ...STATIC, "--json", "--offloads"]).stdout);
  assert.deepEqual(
    lines.slice(0, 4).map(({ reason }) => reason),
    ["dhcp.checksum", "ipv4.format", undefined, undefined],
  );
  assert.equal(lines[4].summary.offloads, undefined);
});
