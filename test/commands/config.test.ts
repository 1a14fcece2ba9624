/** A VM's options in a file: `softnet check-config` finds each mistake, `softnet run-config` runs with them. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parseVmConfig } from "../../src/commands/vm-config.ts";
import { configPath, configuredName, LARGEST_CONFIG, readVmConfig } from "../../src/commands/vm-config-file.ts";
import { softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/tools.ts";

const GOOD = "vm-mac-address 7e:1a:00:00:00:01\nvm-socket /run/vm.sock\n";

function written(t: TestContext, text: string | Uint8Array, name = "web1.conf"): string {
  const path = join(temporaryFolder(t), name);
  writeFileSync(path, text);
  return path;
}

/** What check-config says of a file with this text, without the file's path. */
function mistakes(t: TestContext, text: string | Uint8Array): string[] {
  const path = written(t, text);
  const { status, stdout, stderr } = softnet(["check-config", path]);
  assert.deepEqual([status, stdout], [1, ""]);
  return stderr.trimEnd().replaceAll(path, "").split("\n");
}

test("a file that is right is OK, comments, empty lines, tabs and CRLF are no part of a value", (t) => {
  const more =
    "# web1\r\n\r\nblock\t@private   # the LAN\r\nblock in 0.0.0.0/0\nallow out @dns:53\nreject\nno-offloads\n";
  const path = written(t, GOOD + more);
  const { status, stdout, stderr } = softnet(["check-config", path]);
  assert.deepEqual([status, stdout, stderr], [0, `${path}: OK\n`, ""]);
  assert.deepEqual(parseVmConfig(GOOD + more, path).words, [
    "--vm-mac-address=7e:1a:00:00:00:01",
    "--vm-socket=/run/vm.sock",
    "--block=@private",
    "--block=in 0.0.0.0/0",
    "--allow=out @dns:53",
    "--reject",
    "--no-offloads",
  ]);
});

test("a line attach makes it an attached VM, with the options of softnet attach", () => {
  const { words, given } = parseVmConfig("vm-mac-address 7e:1a:00:00:00:01\nattach vnet0\nopen-on-exit\n", "x.conf");
  assert.deepEqual(words, ["attach", "vnet0", "--vm-mac-address=7e:1a:00:00:00:01", "--open-on-exit"]);
  assert.deepEqual([given.attach, given.openOnExit, given.releaseOnExit], ["vnet0", true, true]);
});

test("each mistake is a line with file, line and remedy", (t) => {
  const text = `vm-mac-address 7e:1a
--bridge br0
bridge=br0
bandwidth 5
reject yes
vm-tap
vm-socket /a
vm-socket /b
sudo-escalation-done
open-on-exit
mtu 1\x07500
`;
  const expected = [
    /^:1: --vm-mac-address "7e:1a" is not valid: give/,
    /^:2: "--bridge": leave the leading -- out$/,
    /^:3: "bridge=br0": write a space/,
    /^:4: "bandwidth" is no option: softnet --help/,
    /^:5: reject takes no value: leave "yes" out$/,
    /^:6: vm-tap needs a value: /,
    /^:8: vm-socket stands in line 7 already/,
    /^:9: "sudo-escalation-done" is no option/,
    /^:10: open-on-exit belongs to attach INTERFACE/,
    /^:11: a control character/,
  ];
  const lines = mistakes(t, text);
  assert.equal(lines.length, expected.length, lines.join("\n"));
  for (const [index, words] of expected.entries()) assert.match(lines[index]!, words);
});

const TOGETHER: readonly (readonly [what: string, text: string, words: RegExp])[] = [
  ["no MAC address", "vm-socket /x\n", /^: --vm-mac-address is missing/],
  ["no VM", "vm-mac-address 7e:1a:00:00:00:01\n", /^: no VM: add a line vm-socket/],
  ["two VMs", `${GOOD}vm-tap vm0\n`, /^:\d: --vm-tap and --vm-socket exclude each other/],
  ["two networks", `${GOOD}bridge br0\nhost-socket /x\n`, /^:3: --bridge and --host-socket exclude/],
  ["an option of another network", `${GOOD}bridge br0\nexpose 22:22\n`, /^:4: --expose belongs to --vm-net-type nat/],
  ["ports that are none", `${GOOD}expose 22\n`, /^:3: --expose "22" is not valid/],
  ["a router without IPv6", `${GOOD}router6 fe80::1\n`, /^:3: --router6 fe80::1: .*add --ipv6/],
  ["a policy file that is not there", `${GOOD}policy /nonexistent/p\n`, /^:3: --policy \/nonexistent\/p: there is no/],
  ["text that is none", "", /^: --vm-mac-address is missing/],
];

for (const [what, text, words] of TOGETHER) {
  test(`found before anything is opened: ${what}`, (t) => {
    const lines = mistakes(t, text);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, words);
  });
}

test("a mistake in the policy file is found too", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "policy"), "allow nonsense!\n");
  writeFileSync(join(folder, "web1.conf"), `${GOOD}policy ${folder}/policy\n`);
  const { status, stderr } = softnet(["check-config", join(folder, "web1.conf")]);
  assert.equal(status, 1);
  assert.match(stderr, /web1\.conf:3: --policy .*policy line 1: /);
});

test("run-config refuses what check-config finds, in one line, and opens nothing", (t) => {
  const path = written(t, "vm-socket /x\nmtu 1\nbridge\n");
  const { status, stderr } = softnet(["run-config", path]);
  assert.equal(status, 1);
  assert.match(
    stderr,
    /^softnet: [^\n]*web1\.conf:2: --mtu "1" is not valid[^\n]*; 1 more: run softnet check-config\n$/,
  );
});

test("run-config runs with the file's options: the descriptors that it names are looked at", (t) => {
  const path = written(t, "vm-mac-address 7e:1a:00:00:00:01\nvm-fd 97\nhost-fd 98\n");
  const { status, stderr } = softnet(["run-config", path]);
  assert.equal(status, 1);
  assert.match(stderr, /^softnet: --vm-fd 97: /);
});

test("options before run-config are refused: they would count for nothing", () => {
  const { status, stderr } = softnet(["--reject", "run-config", "web1"]);
  assert.equal(status, 1);
  assert.match(stderr, /^softnet: --reject: [^\n]*\n$/);
});

test("a word without a slash is a VM's name, below /etc/softnet/vms", () => {
  assert.equal(configPath("web-1.example_2"), "/etc/softnet/vms/web-1.example_2.conf");
  assert.equal(configPath("/srv/x.conf"), "/srv/x.conf");
  for (const word of ["", ".", "..", "-x", ".x", "a b", "ü", "a".repeat(64)]) {
    assert.throws(() => configPath(word), /is no name of a VM/, word);
  }
  assert.equal(configuredName("/etc/softnet/vms/web1.conf"), "web1");
  for (const path of ["/x/web1", "/x/.conf", "/x/-a.conf"]) assert.equal(configuredName(path), undefined, path);
});

test("a file that is too large, no text, a folder or a pipe is refused", (t) => {
  assert.match(mistakes(t, "#".repeat(LARGEST_CONFIG + 1))[0]!, /it may have at most 65536/);
  assert.match(mistakes(t, Uint8Array.of(0x72, 0xff, 0x0a))[0]!, /not UTF-8/);
  const folder = join(temporaryFolder(t), "folder.conf");
  mkdirSync(folder);
  assert.throws(() => readVmConfig(folder), /is not a file/);
  assert.throws(() => readVmConfig("/nonexistent/x.conf"), /there is no such file/);
});

test("root's softnet reads only what root alone could have written, by whatever name", needsRoot(), (t) => {
  const path = written(t, GOOD);
  const link = join(temporaryFolder(t), "link.conf");
  symlinkSync(path, link);
  assert.equal(readVmConfig(link), GOOD);
  for (const mode of [0o666, 0o664, 0o646]) {
    chmodSync(path, mode);
    assert.throws(() => readVmConfig(link), /can be written by others than root: run "chmod go-w/);
  }
  chmodSync(path, 0o644);
  chownSync(path, 65_534, 0);
  assert.throws(() => readVmConfig(link), /belongs to user 65534, not to root: run "chown root/);
  assert.equal(readVmConfig(path, 1000), GOOD, "without root's rights it is the user's own matter");
});
