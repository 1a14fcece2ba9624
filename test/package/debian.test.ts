/**
 * The Debian package: what lintian says of it, what is in it, and that manual page and completions have every option. What it
 * does on a host: test/hosts/install.test.ts.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { bashCompletion, fishCompletion, zshCompletion } from "../../scripts/completions.ts";
import { commandsOf, manPage, optionsOf } from "../../scripts/man-page.ts";
import { debianPackage } from "../../scripts/package-debian.ts";
import { ownTarget } from "../../scripts/package-targets.ts";
import { program } from "../../src/commands/program.ts";
import { packaged } from "../support/executable.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT } from "../support/patience.ts";
import { needs, run } from "../support/tools.ts";

const UNITS = ["softnet-fleet-agent.service", "softnet-metrics.service", "softnet@.service"];
const UNIT_FOLDER = "lib/systemd/system";
/** Every command, softnet itself first, with the long names of its options. */
const COMMANDS = [program(), ...commandsOf(program())].map((command) => ({
  name: command.parent === null ? "" : command.name(),
  options: optionsOf(command).map(({ long }) => long!),
}));

suite("the Debian package of this machine's own target", { ...needs("dpkg-deb"), ...LIMIT }, () => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-debian-"));
  let path = "";
  let root = "";
  before(() => {
    path = debianPackage(ownTarget(), { output: folder, folder: packaged(), scratch: folder })!;
    root = join(folder, "root");
    run("dpkg-deb", "--extract", path, root);
  }, LIMIT);
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

  test("lintian has nothing to say, but what the overrides give a reason for", needs("lintian"), () => {
    assert.equal(run("lintian", "--fail-on", "error,warning", "--display-info", "--allow-root", path), "");
  });

  test("it has what it should and nothing else, all of it root's, and no SUID bit", () => {
    const lines = run("dpkg-deb", "--contents", path).trimEnd().split("\n");
    const files = lines.map((line) => line.split(/\s+/)).filter(([mode]) => mode!.startsWith("-"));
    for (const [mode, owner, , , , name] of files) {
      assert.equal(owner, "root/root");
      assert.equal(mode, name === "./usr/bin/softnet" ? "-rwxr-xr-x" : "-rw-r--r--", name);
    }
    const names = files.map(([, , , , , name]) => name!.slice(2));
    assert.deepEqual(
      names.filter((name) => !name.startsWith("usr/share/doc/softnet/docs/")).toSorted(),
      [
        ...UNITS.map((unit) => `${UNIT_FOLDER}/${unit}`),
        "usr/bin/softnet",
        "usr/share/bash-completion/completions/softnet",
        "usr/share/doc/softnet/README.AppArmor",
        "usr/share/doc/softnet/THIRD-PARTY-NOTICES.gz",
        "usr/share/doc/softnet/changelog.Debian.gz",
        "usr/share/doc/softnet/changelog.gz",
        "usr/share/doc/softnet/copyright",
        "usr/lib/sysusers.d/softnet.conf",
        "usr/share/doc/softnet/examples/fleet.conf",
        "usr/share/doc/softnet/examples/nats.conf",
        "usr/share/doc/softnet/examples/softnet.conf",
        "usr/share/doc/softnet/examples/web1.conf",
        "usr/share/fish/vendor_completions.d/softnet.fish",
        "usr/share/lintian/overrides/softnet",
        "usr/share/man/man1/softnet.1.gz",
        "usr/share/zsh/vendor-completions/_softnet",
      ].toSorted(),
    );
    for (const name of ["vms", "fleet"]) assert.ok(statSync(join(root, "etc/softnet", name)).isDirectory());
    assert.ok(names.includes("usr/share/doc/softnet/docs/service.md"));
  });

  test("its scripts never start or restart anything, and stop only when it is removed", (t) => {
    const control = join(temporaryFolder(t), "control");
    run("dpkg-deb", "--control", path, control);
    const script = (name: string) => readFileSync(join(control, name), "utf8");
    for (const name of ["postinst", "prerm", "postrm"]) {
      assert.equal(spawnSync("sh", ["-n", join(control, name)]).status, 0, name);
      assert.doesNotMatch(script(name), /\b(start|restart|try-restart|enable|chmod|chown|useradd|adduser)\b/, name);
    }
    assert.match(script("prerm"), /"\$1" = remove \]/);
  });

  test("the executable runs, and its manual page is without warnings", needs("man"), () => {
    const { stdout } = spawnSync(join(root, "usr/bin/softnet"), ["--version"], { encoding: "utf8" });
    assert.match(run("dpkg-deb", "--field", path, "Version"), new RegExp(`^${stdout.trim()}-1\n$`));
    const page = join(root, "usr/share/man/man1/softnet.1.gz");
    const env = { ...process.env, LC_ALL: "C.UTF-8", MANWIDTH: "100", MAN_KEEP_FORMATTING: "" };
    const { status, stderr } = spawnSync("man", ["--warnings", "--local-file", page], { encoding: "utf8", env });
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(gunzipSync(readFileSync(page)).toString(), /^\.TH SOFTNET 1 /);
  });

  test("systemd understands the units", needs("systemd-analyze"), (t) => {
    for (const name of UNITS) {
      // The program that it names is not installed here.
      const unit = join(temporaryFolder(t), name.replace("@", "@web1"));
      const text = readFileSync(join(root, UNIT_FOLDER, name), "utf8");
      spawnSync("tee", [unit], { input: text.replace("/usr/bin/softnet", join(root, "usr/bin/softnet")) });
      const { stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" });
      const said = stderr.split("\n").filter((line) => line.includes("softnet"));
      // Only nobody may ask the softnets that root starts, which run as nobody: systemd warns of that user, as the unit says.
      const known = name === "softnet-metrics.service" ? ["Special user nobody configured, this is not safe!"] : [];
      assert.deepEqual(
        said.map((line) => line.replace(/^.*:\d+: /, "")),
        known,
      );
    }
  });

  test("it is the same, byte for byte, when it is made again", () => {
    const again = mkdtempSync(join(folder, "again-"));
    const other = debianPackage(ownTarget(), { output: again, folder: packaged(), scratch: again })!;
    assert.ok(readFileSync(path).equals(readFileSync(other)));
  });
});

test("the manual page has every command, every option and its text", () => {
  const page = manPage(program(), "1.2.3", "2026-01-02");
  const plain = page.replaceAll("\\-", "-").replaceAll(/\\f[BIR]/g, "");
  const sections = plain.split(/^\.SS "softnet /m);
  for (const { name, options } of COMMANDS) {
    const section = name === "" ? sections[0]! : sections.find((each) => each.startsWith(`${name}"`))!;
    assert.notEqual(section, undefined, name);
    const isAll = section.includes("It has all options of softnet itself");
    for (const option of options) {
      const isCommon = ["--help", "--version"].includes(option) || isAll;
      assert.ok(section.includes(option) || (isCommon && sections[0]!.includes(option)), `${name} ${option}`);
    }
  }
  for (const line of page.trimEnd().split("\n")) assert.match(line, /^(\.[A-Z]{1,2}\b|[^.'])[\x20-\x7e]*$/);
});

test("what looks like roff in a text stays text", () => {
  const page = manPage(program().description(".so \\fB it's – “x”"), "1", "2026-01-02");
  assert.match(page, /^softnet \\- \.so \\efB it\\\(aqs \\\[u2013\] \\\[u201C\]x\\\[u201D\]$/m);
});

test("the completions have every command and every option", () => {
  const [bash, zsh, fish] = [bashCompletion(program()), zshCompletion(program()), fishCompletion(program())];
  for (const { name, options } of COMMANDS) {
    for (const text of [bash, zsh, fish]) assert.ok(text.includes(name), name);
    for (const option of options) {
      assert.ok(bash.includes(option), option);
      assert.ok(zsh.includes(`*${option}[`), option);
      assert.ok(fish.includes(` -l ${option.slice(2)}`), option);
    }
  }
});

/** What bash offers for the last of these words. */
function offered(...words: readonly string[]): string[] {
  const script = `${bashCompletion(program())}
COMP_WORDS=(softnet "$@"); COMP_CWORD=$#; compopt() { :; }; _softnet; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", script, "bash", ...words], { encoding: "utf8" });
  assert.deepEqual([status, stderr], [0, ""]);
  return stdout.trimEnd().split("\n").filter(Boolean);
}

test("bash offers commands, a command's options, files and interfaces, and nothing for other values", (t) => {
  assert.deepEqual(offered("att"), ["attach"]);
  assert.deepEqual(offered("--vm-t"), ["--vm-tap"]);
  assert.deepEqual(offered("attach", "vnet0", "--open"), ["--open-on-exit"]);
  assert.deepEqual(offered("list", "--j"), ["--json"]);
  assert.deepEqual(offered("attach", "l"), ["lo"]);
  assert.deepEqual(offered("--vm-mac-address", ""), []);
  const folder = temporaryFolder(t);
  spawnSync("touch", [join(folder, "a b.pcap")]);
  assert.deepEqual(offered("--capture", `${folder}/a`), [join(folder, "a b.pcap")]);
});

test("zsh and fish read theirs", { ...needs("zsh", "fish"), ...LIMIT }, (t) => {
  const folder = temporaryFolder(t);
  for (const [shell, text] of [
    ["zsh", zshCompletion(program())],
    ["fish", fishCompletion(program())],
  ] as const) {
    const file = join(folder, shell);
    spawnSync("tee", [file], { input: text });
    run(shell, shell === "zsh" ? "-n" : "--no-execute", file);
  }
});
