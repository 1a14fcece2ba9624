/** passt's command line as libvirt writes it, and which passt of PATH is the real one. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parsePasstWords } from "../../src/operate/passt-words.ts";
import { findRealPasst, STARTED_BY_SOFTNET } from "../../src/operate/real-passt.ts";
import { UserError } from "../../src/user-error.ts";
import { softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";

test("libvirt's line: what is softnet's is taken out, the rest is passt's, in order", () => {
  const line =
    "--one-off --socket /run/1-vm-net0.socket --mac-addr 52:54:00:00:00:01 --pid /run/1.pid --mtu 1400 --interface eth0 --log-file /tmp/log --address 192.0.2.5 --netmask 24 --tcp-ports 2022:22 --udp-ports 192.0.2.1/5000-5010";
  assert.deepEqual(parsePasstWords(line.split(" ")), {
    socket: "/run/1-vm-net0.socket",
    mac: "52:54:00:00:00:01",
    pid: "/run/1.pid",
    logFile: "/tmp/log",
    oneOff: true,
    foreground: false,
    rest: "--mtu 1400 --interface eth0 --address 192.0.2.5 --netmask 24 --tcp-ports 2022:22 --udp-ports 192.0.2.1/5000-5010".split(
      " ",
    ),
  });
});

test("short options, and a value behind an equals sign", () => {
  const { socket, mac, oneOff, foreground, rest } = parsePasstWords(
    "-1 -f -s /run/s --mac-addr=52:54:00:00:00:01 -m 1500 -4 -D --search".split(" "),
  );
  assert.deepEqual(
    [socket, mac, oneOff, foreground, rest],
    ["/run/s", "52:54:00:00:00:01", true, true, ["-m", "1500", "-4", "-D", "--search"]],
  );
});

for (const [line, why] of [
  ["--one-off", /--socket PATH is missing/],
  ["--socket", /--socket needs a value/],
  ["--socket /a --socket /b", /given twice/],
  ["--socket /a\nblock", /control character/],
  ["--socket /a vm1", /"vm1" is no option/],
] as const) {
  test(`refused: ${JSON.stringify(line)}`, () => {
    assert.throws(
      () => parsePasstWords(line.split(" ")),
      (error) => error instanceof UserError && why.test(error.message),
    );
  });
}

/** A folder with a program called passt, or a link to one. */
function place(t: TestContext, to?: string): string {
  const folder = temporaryFolder(t);
  const path = join(folder, "passt");
  if (to !== undefined) symlinkSync(to, path);
  else writeFileSync(path, "#!/bin/sh\n", { mode: 0o755 });
  return folder;
}

test("the real passt is the first of PATH that is not softnet, by whatever links", (t) => {
  const softnetAt = place(t);
  const own = [join(softnetAt, "passt")];
  const linked = place(t, join(softnetAt, "passt"));
  const twice = place(t, join(linked, "passt"));
  const unusable = place(t);
  chmodSync(join(unusable, "passt"), 0o644);
  mkdirSync(join(unusable, "empty"));
  const real = place(t);
  const PATH = [
    "",
    ".",
    softnetAt,
    linked,
    twice,
    join(unusable, "empty"),
    ...(process.getuid?.() ? [unusable] : []),
    real,
  ].join(":");
  assert.equal(findRealPasst({ PATH }, own), realpathSync(join(real, "passt")));
  assert.throws(() => findRealPasst({ PATH: `${linked}:${twice}` }, own), /every passt in PATH is softnet itself/);
  assert.throws(() => findRealPasst({ PATH: join(unusable, "empty") }, own), /there is none in PATH/);
});

test("softnet that was started by softnet under passt's name refuses to go on", (t) => {
  const PATH = place(t);
  assert.throws(() => findRealPasst({ PATH, [STARTED_BY_SOFTNET]: "1" }, []), /has found itself/);
});

test("a mistake is one line and exit 1, and the caller does not wait for a daemon", () => {
  const { status, stderr } = softnet(["passt", "--one-off"]);
  assert.deepEqual(
    [status, stderr],
    [1, "softnet: passt: --socket PATH is missing: softnet must know where QEMU connects\n"],
  );
});

test("what the daemon finds wrong is the caller's one line, and nothing is left", (t) => {
  const folder = temporaryFolder(t);
  const env = { PATH: folder, TMPDIR: folder, HOME: folder, XDG_CONFIG_HOME: folder };
  const socket = join(folder, "s");
  const { status, stderr } = softnet(["passt", "--socket", socket, "--mac-addr", "52:54:00:00:00:01"], { env });
  assert.equal(status, 1);
  assert.match(stderr, /^softnet: passt: there is none in PATH: [^\n]*\n$/);
});

test("passt's own error is softnet's, with its path", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "passt"), "#!/bin/sh\necho 'No routable interface' >&2\nexit 1\n", { mode: 0o755 });
  const env = { PATH: `${folder}:${process.env.PATH}`, TMPDIR: folder, HOME: folder, XDG_CONFIG_HOME: folder };
  const { status, stderr } = softnet(["passt", "--socket", join(folder, "s"), "--mac-addr", "52:54:00:00:00:01"], {
    env,
  });
  assert.deepEqual([status, stderr], [1, `softnet: ${join(folder, "passt")} ended with 1: No routable interface\n`]);
});
