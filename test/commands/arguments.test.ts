/** What a person who types something wrong sees: one line that names the value and the remedy, and exit 1. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { softnet } from "../support/cli.ts";

const MAC = ["--vm-mac-address", "02:00:00:00:00:11"];

function refuses(args: readonly string[], words: RegExp): void {
  const { status, stdout, stderr } = softnet(args);
  assert.match(stderr, /^softnet: [^\n]+\n$/, `one line: ${stderr}`);
  assert.match(stderr, words);
  assert.equal(status, 1);
  assert.equal(stdout, "");
}

test("--help names every option and exits 0", () => {
  const { status, stdout, stderr } = softnet(["--help"]);
  assert.equal(status, 0);
  assert.equal(stderr, "");
  const options =
    "vm-fd vm-mac-address vm-net-type bootpd-lease-time user group allow block expose vm-tap bridge host-fd";
  const more =
    "vm-socket host-socket gateway gateway-mac dhcp-server dhcp-server-mac vm-ip-address vm-hostname capture capture-size log-format log-level mtu ipv6 router6 version help";
  for (const option of `${options} ${more}`.split(" ")) assert.match(stdout, new RegExp(`--${option}\\b`));
  assert.match(stdout, /replay/);
  assert.match(stdout, /demo/);
  assert.doesNotMatch(stdout, /escalation/);
});

test("--version is the package's", () => {
  const { status, stdout } = softnet(["--version"]);
  assert.equal(status, 0);
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/);
});

test("-h and -V are --help and --version, also behind other options", () => {
  assert.deepEqual(softnet(["-h"]), softnet(["--help"]));
  assert.deepEqual(softnet(["-V"]), softnet(["--version"]));
  assert.deepEqual(softnet([...MAC, "--vm-fd", "0", "-h"]), softnet(["--help"]));
  assert.deepEqual(softnet(["replay", "-h"]), softnet(["replay", "--help"]));
  assert.equal(softnet(["replay", "-h"]).status, 0);
});

test("--help and --version end with 0 and without a word when they cannot be written", () => {
  for (const args of [["--help"], ["-h"], ["--version"], ["-V"], ["replay", "--help"], ["ctl", "--help"]]) {
    for (const flags of ["w", "r"]) {
      const full = openSync("/dev/full", flags); // no space; or opened for reading only: EBADF
      const { status, stderr } = softnet(args, { stdio: ["ignore", full, "pipe"] });
      closeSync(full);
      assert.deepEqual([status, stderr], [0, ""], `${args} ${flags}`);
    }
  }
});

test("a mistake is exit 1 also where it cannot be told", () => {
  const full = openSync("/dev/full", "w");
  const { status } = softnet(["--bogus"], { stdio: ["ignore", "ignore", full] });
  closeSync(full);
  assert.equal(status, 1);
});

test("--sudo-escalation-probing exits 0 at once, whatever else is there", () => {
  const ran = softnet(["--vm-fd", "99", ...MAC, "--sudo-escalation-probing"]);
  assert.deepEqual(ran, { status: 0, stdout: "", stderr: "" });
});

const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["nothing at all", [], /--vm-mac-address is missing/],
  ["an unknown option", ["--bogus"], /unknown option '--bogus'/],
  ["an unknown command", ["bogus"], /too many arguments|bogus/],
  ["a word too much", ["list", "x"], /too many arguments for 'list'.* but got 1; see softnet list --help\n$/],
  [
    "an unknown option of a command's command",
    ["fleet", "list", "--nats", "n1", "--bogus"],
    /'--bogus'; see softnet fleet list --help\n$/,
  ],
  ["fleet without a command", ["fleet"], /fleet needs a command: agent, .*, watch; see softnet fleet --help/],
  ["fleet with a command that there is not", ["fleet", "bogus"], /fleet bogus: there is no such command: give agent, /],
  ["a value left out", ["--vm-fd"], /--vm-fd/],
  ["a wrong MAC address", ["--vm-mac-address", "02:00:00:00:00"], /"02:00:00:00:00".*7e:1a/],
  [
    "a group MAC address",
    ["--vm-fd", "0", "--host-fd", "1", "--vm-mac-address", "01:00:5e:00:00:01"],
    /01:00:5e:00:00:01/,
  ],
  ["no VM", MAC, /--vm-fd N, --vm-tap NAME or --vm-socket PATH/],
  ["two VMs", [...MAC, "--vm-fd", "3", "--vm-tap", "x"], /--vm-fd and --vm-tap/],
  ["two other VMs", [...MAC, "--vm-tap", "x", "--vm-socket", "/tmp/x"], /--vm-tap and --vm-socket/],
  ["a VM's name that is a path", [...MAC, "--name", "../web"], /--name "\.\.\/web" is not valid: give 1 to 63 of/],
  ["a VM's name that is a pattern", [...MAC, "--name", "web*"], /--name "web\*" is not valid/],
  ["a VM's name that is too long", [...MAC, "--name", "x".repeat(64)], /--name "x{64}" is not valid/],
  ["a TAP's name that is an option", [...MAC, "--vm-tap=-vm0"], /--vm-tap "-vm0": .*letters, digits/],
  [
    "a TAP's name with a control character",
    [...MAC, "--vm-tap", "vm\u0007"],
    /--vm-tap "vm\\u0007": .*letters, digits/,
  ],
  ["a TAP's name of softnet's own", [...MAC, "--vm-tap", "softnet0"], /--vm-tap softnet0: .*softnet's own TAPs/],
  ["a socket's path too long", [...MAC, "--vm-socket", `/${"x".repeat(107)}`], /--vm-socket .*107 bytes; .*108/],
  ["a negative descriptor", [...MAC, "--vm-fd", "-1"], /--vm-fd/],
  ["a descriptor that is no number", [...MAC, "--vm-fd", "0x3"], /"0x3"/],
  ["a closed descriptor", [...MAC, "--vm-fd", "99", "--host-fd", "98"], /--vm-fd 99: .*pass/],
  ["a descriptor that is no socket", [...MAC, "--vm-fd", "0", "--host-fd", "98"], /--vm-fd 0: .*socket/],
  ["a wrong rule", [...MAC, "--allow", "10.0.0.0/8,10.0.0.300/8"], /--allow "10\.0\.0\.300\/8"/],
  ["an address without a prefix as rule", [...MAC, "--block", "10.0.0.1"], /10\.0\.0\.1\/32/],
  ["an empty rule in a list", [...MAC, "--allow", "10.0.0.0/8,,"], /--allow ""/],
  ["a wrong gateway", [...MAC, "--gateway", "router"], /--gateway "router"/],
  ["a wrong DHCP server", [...MAC, "--dhcp-server", "1.2.3"], /--dhcp-server "1\.2\.3"/],
  ["a wrong static address", [...MAC, "--vm-ip-address", "::1"], /--vm-ip-address "::1"/],
  [
    "a static address that no VM has",
    [...MAC, "--ipv6", "--vm-ip-address", "10.0.0.5,ff02::1"],
    /"10\.0\.0\.5,ff02::1"/,
  ],
  ["two static addresses of one family", [...MAC, "--vm-ip-address", "10.0.0.5,10.0.0.6"], /one of each/],
  ["a static IPv6 address without IPv6", [...MAC, "--vm-ip-address", "10.0.0.5,fd00::5"], /fd00::5: .*add --ipv6/],
  ["an IPv6 router without IPv6", [...MAC, "--router6", "fe80::1"], /--router6 fe80::1: .*add --ipv6/],
  ["a router that is on no link", [...MAC, "--ipv6", "--router6", "2001:db8::1"], /"2001:db8::1".*link-local/],
  ["a router with a zone", [...MAC, "--ipv6", "--router6", "fe80::1%eth0"], /"fe80::1%eth0".*without %/],
  ["replay with an IPv6 router without IPv6", ["replay", "/dev/null", ...MAC, "--router6", "fe80::1"], /add --ipv6/],
  ["a wrong MTU", [...MAC, "--mtu", "10"], /--mtu "10".*68/],
  ["a wrong log format", [...MAC, "--log-format", "xml"], /"xml".*text or json/],
  ["a wrong log level", [...MAC, "--log-level", "loud"], /"loud"/],
  ["a wrong capture size", [...MAC, "--capture-size", "10"], /--capture-size "10"/],
  ["a network type that is none", [...MAC, "--vm-net-type", "bridged"], /"bridged".*nat or host/],
  ["ports that are none", [...MAC, "--vm-fd", "0", "--expose", "2222"], /--expose "2222".*EXTERNAL:INTERNAL/],
  [
    "a user that there is not",
    [...MAC, "--vm-fd", "0", "--host-fd", "98", "--user", "nosuch"],
    /--user nosuch: .*name/,
  ],
  [
    "a group that there is not",
    [...MAC, "--vm-fd", "0", "--host-fd", "98", "--group", "nosuch"],
    /--group nosuch: .*name/,
  ],
  ["replay without a file", ["replay"], /capture/],
  ["replay without a MAC address", ["replay", "x.pcap"], /--vm-mac-address is missing/],
  ["replay of a file that is not there", ["replay", "/nonexistent/x.pcap", ...MAC], /\/nonexistent\/x\.pcap/],
  ["replay of a folder", ["replay", "/", ...MAC], /\//],
  ["replay of something else", ["replay", "/etc/passwd", ...MAC], /neither pcap nor pcapng/],
  ["replay of an empty file", ["replay", "/dev/null", ...MAC], /empty/],
  [
    "replay in two directions",
    ["replay", "/dev/null", ...MAC, "--from-vm", "--from-host"],
    /--from-vm and --from-host/,
  ],
];

for (const [what, args, words] of wrong) test(`one line and exit 1 for ${what}`, () => refuses(args, words));

test("arguments are read before any foreign library is loaded, which may fail", () => {
  const options = new URL("../../src/commands/program.ts", import.meta.url).href;
  const program = `await import(${JSON.stringify(options)});
    console.log(process.report.getReport().sharedObjects.filter((path) => path.includes("koffi")).length);`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    encoding: "utf8",
  });
  assert.equal(stdout, "0\n", stderr);
});

test("a descriptor that is a file is refused in one line", () => {
  const file = openSync("/etc/passwd", "r");
  const { status, stderr } = softnet([...MAC, "--vm-fd", "3", "--host-fd", "3"], {
    stdio: ["ignore", "pipe", "pipe", file],
  });
  assert.equal(status, 1);
  assert.match(stderr, /^softnet: --vm-fd 3: [^\n]*not a socket[^\n]*\n$/);
});
