/**
 * The packaged executable in the hands of a caller who wants its rights: with the SUID bit, through sudo, and without
 * either. Each trick is tried for real; what it would gain (a file written, code loaded, a message answered, a
 * debugger) is looked for.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import test from "node:test";
import { executable } from "../support/executable.ts";
import { ALICE, descendants, isHelper, threadsOf } from "./harness/accounts.ts";
import {
  assertThreads,
  CAP_NET_ADMIN,
  exe,
  MAC,
  NAT,
  NOBODY,
  needs,
  Scene,
  SHORT,
  SHORT_ENDS,
} from "./harness/executable-scene.ts";
import { sleep, until } from "./harness/program.ts";
import { BRIDGE, tool } from "./harness/topology.ts";

/** Asserts no root id and no capability in any thread. */
function assertHarmless(pid: number, uid: number): void {
  assertThreads(threadsOf(pid), uid);
}

/** The libraries that a process has loaded. */
function mappedLibraries(pid: number): string[] {
  const paths = readFileSync(`/proc/${pid}/maps`, "utf8").matchAll(/^\S+ r-x\S* \S+ \S+ \d+ +(\/.*)$/gm);
  return [...new Set([...paths].map(([, path]) => path!))];
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
}

test("Tart's contract: found in PATH, --help, --version and the probing end with 0", needs(), async (t) => {
  // As on macOS, sudo looks for programs in the user's PATH; Debian's has a path of its own.
  const sudoers = `Defaults:${ALICE.name} !secure_path\n${ALICE.name} ALL=(root) NOPASSWD: {executable}`;
  const { accounts } = new Scene(t, { sudoers });
  // Homebrew has a link in PATH. Tart asks sudo with the name that it found there, or with where the link leads.
  const link = join(accounts.folder("bin", ALICE.uid), "softnet");
  symlinkSync(accounts.suid, link);
  const path = `PATH=${dirname(link)}:/usr/bin:/bin`;
  for (const command of [
    ["softnet", "--help"],
    ["softnet", "-h"],
    ["sudo", "--non-interactive", "softnet", "--help"],
    ["sudo", "--non-interactive", link, "--help"],
    ["sudo", "--non-interactive", accounts.suid, "--help"],
    ["sudo", "-n", accounts.suid, "-V"],
    ["softnet", "--vm-fd", "0", "--sudo-escalation-probing"],
    ["sudo", "-n", accounts.suid, "--vm-fd", "0", "--vm-mac-address", MAC, "--sudo-escalation-probing"],
    ["softnet", "--version"],
  ]) {
    const program = accounts.start(["env", path, ...command]);
    assert.equal((await program.ended()).code, 0, program.text());
    assert.deepEqual(program.stderr, []);
    assert.equal(program.stdout.length > 0, !command.at(-1)!.endsWith("probing"), command.join(" "));
  }
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const told = accounts.start([accounts.suid, "--version"]);
  await told.ended();
  assert.deepEqual(told.stdout, [version]);
});

test(
  "Tart's contract: the SUID bit set by one call of sudo or by two, on a copy of the user's",
  needs("sudo"),
  async (t) => {
    const { accounts, lab } = new Scene(t, { sudoers: `${ALICE.name} ALL=(root) NOPASSWD: ALL` });
    const folder = accounts.folder("cellar", ALICE.uid);
    const path = join(folder, "softnet");
    for (const calls of [
      [["sh", "-c", `chown root ${path} && chmod u+s ${path}`]],
      [
        ["chown", "root", path],
        ["chmod", "u+s", path],
      ],
    ]) {
      copyFileSync(executable(), path);
      chownSync(path, ALICE.uid, ALICE.uid);
      chmodSync(path, 0o755);
      for (const call of calls) {
        const program = accounts.start(["sudo", ...call]);
        assert.equal((await program.ended()).code, 0, program.text());
      }
      // What Tart looks at afterwards.
      const { uid, mode } = statSync(path);
      assert.deepEqual([uid, mode & 0o7777], [0, 0o4755]);
      const program = accounts.start([path, ...SHORT]);
      assert.equal((await program.ended()).code, 1, program.text());
      assert.match(program.stderr.join("\n"), SHORT_ENDS);
      assert.ok(!lab.host.hasLink("vm0"));
      rmSync(path);
    }
  },
);

test("the traps work: without the SUID bit, Node and libc walk into them", needs("gcc"), async (t) => {
  for (const env of [["NODE_OPTIONS=--require={script}"], ["LD_PRELOAD={library}"]]) {
    const { lab, marker, script, library } = new Scene(t);
    const settings = env.map((setting) => setting.replace("{script}", script).replace("{library}", library));
    await lab.start(lab.host, "env", [...settings, process.execPath, "-e", ""]).ended();
    assert.ok(existsSync(marker), settings.join(" "));
  }
  const { lab, closed } = new Scene(t);
  await lab.start(lab.host, "env", [`NODE_V8_COVERAGE=${closed}`, process.execPath, "-e", ""]).ended();
  assert.equal(readdirSync(closed).length, 1);
});

test("SUID: no variable of the caller's makes it write or load anything", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const { trap, closed, library, script } = scene;
  const settings: readonly (readonly string[])[] = [
    [`NODE_OPTIONS=--require=${script}`],
    [`NODE_OPTIONS=--import=${script} --cpu-prof --cpu-prof-dir=${closed} --heapsnapshot-signal=SIGUSR2`],
    ["NODE_OPTIONS=--no-such-option"],
    [`NODE_PATH=${join(trap, "node_modules")}`, `HOME=${trap}`],
    [`LD_PRELOAD=${library}`],
    [`LD_LIBRARY_PATH=${trap}`, `LD_AUDIT=${library}`, `GCONV_PATH=${trap}`, `LOCPATH=${trap}`],
    [`DYLD_INSERT_LIBRARIES=${library}`, `DYLD_LIBRARY_PATH=${trap}`],
    [`OPENSSL_CONF=${join(trap, "openssl.cnf")}`, `OPENSSL_MODULES=${trap}`, `OPENSSL_ENGINES=${trap}`],
    ["NODE_EXTRA_CA_CERTS=/etc/shadow", `SSL_CERT_FILE=${script}`, `SSLKEYLOGFILE=${join(closed, "keys")}`],
    [
      `NODE_COMPILE_CACHE=${closed}`,
      `NODE_REDIRECT_WARNINGS=${join(closed, "warnings")}`,
      "NODE_PENDING_DEPRECATION=1",
    ],
    [`NODE_ICU_DATA=${trap}`, `TZ=:${script}`, `TZDIR=${trap}`],
    [`TMPDIR=${closed}`],
    [`TMPDIR=${trap}`, `XDG_CACHE_HOME=${trap}`, `XDG_RUNTIME_DIR=${trap}`, `HOME=${trap}`],
    [
      `NODE_REPL_HISTORY=${join(closed, "history")}`,
      `NODE_REPL_EXTERNAL_MODULE=${script}`,
      "NODE_TEST_CONTEXT=child-v8",
    ],
    ["UV_USE_IO_URING=1", "UV_LOOP_USE_IO_URING_SQPOLL=1", "UV_THREADPOOL_SIZE=200"],
    [`PATH=${trap}`, `BASH_ENV=${script}`, `ENV=${script}`, "IFS=/"],
    ["SUDO_UID=0", "SUDO_GID=0", "SUDO_USER=root"],
    ["WATCH_REPORT_DEPENDENCIES=1", "NODE_USE_ENV_PROXY=1", "HTTP_PROXY=http://127.0.0.1:1", "NODE_NO_WARNINGS=0"],
    // Node itself may write before softnet's first statement, and when it fails before that.
    [`NODE_V8_COVERAGE=${closed}`],
    [`NODE_V8_COVERAGE=${trap}`],
    [`NODE_V8_COVERAGE=${join(closed, "new", "folder")}`, "NODE_UNIQUE_ID=1"],
    ["NODE_UNIQUE_ID=1"],
    ["NODE_CHANNEL_FD=0"],
    ["NODE_CHANNEL_FD=99", "NODE_CHANNEL_SERIALIZATION_MODE=advanced"],
  ];
  for (const setting of settings) {
    const program = scene.suid(SHORT, ["env", ...setting]);
    const what = `${setting.join(" ")}\n${program.text()}`;
    assert.equal((await program.ended()).code, 1, what);
    assert.equal(program.stderr.length, 1, `${setting.join(" ")}\n${program.text()}`);
    assert.match(program.stderr[0]!, SHORT_ENDS, what);
    scene.assertNothingGained(setting.join(" "));
  }
  // Node ends before softnet begins: with an error of its own, but with nothing in the folder.
  for (const setting of [["NODE_CHANNEL_FD=abc"], ["NODE_CHANNEL_FD=-1"], ["NODE_CHANNEL_FD=1", "NODE_UNIQUE_ID=1"]]) {
    const program = scene.suid(SHORT, ["env", `NODE_V8_COVERAGE=${closed}`, ...setting]);
    await program.ended();
    assert.notEqual(program.exit?.code, 0, program.text());
    scene.assertNothingGained(setting.join(" "));
  }
  // What Node prints for NODE_DEBUG is about Node.
  const debugged = scene.suid(SHORT, ["env", "NODE_DEBUG=*", "NODE_DEBUG_NATIVE=*"]);
  assert.equal((await debugged.ended()).code, 1);
  assert.doesNotMatch(debugged.text(), /root:[^:]*:\d+:/);
  scene.assertNothingGained("NODE_DEBUG");
});

test("SUID: Node's own descriptors as a channel, one after the other, with coverage", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const numbers = Array.from({ length: 26 }, (_, index) => index);
  for (let first = 0; first < numbers.length; first += 2) {
    const programs = numbers
      .slice(first, first + 2)
      .map((fd) => scene.suid(["--version"], ["env", `NODE_CHANNEL_FD=${fd}`, `NODE_V8_COVERAGE=${scene.closed}`]));
    await Promise.all(programs.map((program) => program.ended()));
    scene.assertNothingGained(`NODE_CHANNEL_FD from ${first}`);
  }
});

test("SUID: a configuration file for Node allows nothing and writes nothing", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const { trap, closed, script } = scene;
  const file = join(trap, "..", "options.json");
  const option = `--experimental-config-file=${file}`;
  const run = "import os, sys; os.execv(sys.argv[1], sys.argv[2:])";
  const coverage = [`NODE_V8_COVERAGE=${closed}`, "NODE_CHANNEL_FD=abc"]; // ends before softnet's first statement
  for (const options of [
    { permission: { "allow-inspector": true, "allow-worker": true, "allow-wasi": true } },
    { permission: { permission: false, "allow-inspector": true } },
    { test: { "experimental-test-coverage": true, "test-reporter": [script], "test-global-setup": script } },
    { watch: { "watch-path": [trap] } },
    { nodeOptions: { require: [script], "cpu-prof": true, "cpu-prof-dir": closed } },
  ]) {
    writeFileSync(file, JSON.stringify(options));
    for (const env of [[], coverage]) {
      for (const words of [
        ["softnet", option, "--version"],
        [option, "--version"],
      ]) {
        const program = scene.accounts.start([
          ...["env", ...env, "/usr/bin/python3", "-c", run],
          ...[scene.accounts.suid, ...words],
        ]);
        await program.ended();
        const what = `${JSON.stringify(options)} ${env.join(" ")} ${words.join(" ")}`;
        assert.doesNotMatch(program.text(), /could invalidate the permission model/, what);
        scene.assertNothingGained(what);
      }
    }
  }
});

test("SUID: a parent that speaks Node's protocol gets no answer", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const program = scene.accounts.start([process.execPath, tool("channel.ts"), scene.accounts.suid, ...SHORT]);
  await program.ended();
  // As a cluster's worker Node has said that it is there before softnet's first statement, and nothing after it.
  const messages = program.stdout.filter((line) => !line.includes('"act":"online"'));
  assert.deepEqual(messages, ["ended 1"], program.text());
  assert.match(program.stderr.join("\n"), /nowhere\/cable/);
  scene.assertNothingGained("NODE_CHANNEL_FD");
});

test("SUID: a storm of SIGUSR1 from the first moment opens no debugger", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  // Between Node's first signal handler and softnet's own: whenever that is on this machine, one of them hits.
  const shots = Array.from(
    { length: 16 },
    (_, index) => `"$@" --version & sleep 0.0${(index * 5 + 5).toString().padStart(2, "0")}; kill -USR1 $!; wait`,
  );
  for (const shot of shots) {
    const program = scene.suid([], ["sh", "-c", shot, "sh"]);
    await program.ended();
    assert.doesNotMatch(program.text(), /Debugger|inspector/i);
  }
  scene.assertNothingGained("SIGUSR1");
  const { cable, pid } = await scene.running();
  const inode = () => scene.lab.host.run("ss", ["-ltnp"]);
  for (let count = 0; count < 5; count++) process.kill(pid, "SIGUSR1");
  await sleep(300);
  assert.doesNotMatch((await inode()).stdout, /softnet|node|:9229/i);
  assert.deepEqual((await cable.softnet.stop()).exit, { code: 0, signal: null });
});

test("SUID: closed standard descriptors become devices, no file of root's", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const args = ["--vm-socket", "/tmp/nowhere/vm", "--vm-mac-address", MAC, "--dns", "9.9.9.9"];
  for (const closing of ["<&-", "<&- >&-", "2>&-", "<&- >&- 2>&-"]) {
    const program = scene.suid(args, ["sh", "-c", `exec "$@" ${closing}`, "sh"]);
    await program.ended();
    assert.equal(program.exit?.code, 1, closing);
    scene.assertNothingGained(closing);
  }
  const waiting = join(scene.trap, "vm");
  const softnet = scene.suid(
    ["--vm-socket", waiting, "--vm-mac-address", MAC, "--dns", "9.9.9.9"],
    ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"],
  );
  await until("it listens", () => existsSync(waiting) || softnet.exit !== undefined);
  for (const fd of [0, 1, 2]) assert.match(readlinkSync(`/proc/${softnet.pid}/fd/${fd}`), /^\/dev\/(null|full)$/);
  await softnet.stop("SIGINT");
});

test("SUID: nothing is read from the working directory, also where there is none", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const gone = join(scene.trap, "gone");
  for (const where of [`cd ${scene.trap}`, `mkdir ${gone} && cd ${gone} && rmdir ${gone}`, `cd ${scene.closed}`]) {
    const program = scene.suid(SHORT, ["sh", "-c", `${where} && exec "$@"`, "sh"]);
    assert.equal((await program.ended()).code, 1);
    assert.match(program.stderr.join("\n"), SHORT_ENDS, where);
    scene.assertNothingGained(where);
  }
});

test("SUID: umask, limits and blocked signals gain nothing", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const tight = scene.suid(SHORT, ["sh", "-c", 'ulimit -f 100 && exec "$@"', "sh"]);
  assert.equal((await tight.ended()).code, 1);
  assert.match(tight.stderr.join("\n"), /^softnet: files are limited to 51200 bytes \(ulimit -f\)/);
  for (const limit of ["nproc=1", "memlock=0", "as=102400000", "stack=262144", "stack=65536", "core=unlimited"]) {
    const program = scene.suid(SHORT, ["prlimit", `--${limit}`]);
    const { code, signal } = await program.ended();
    assert.ok(code !== 0 || signal !== null, `${limit}\n${program.text()}`);
    scene.assertNothingGained(limit);
  }
  const open = join(scene.trap, "vm");
  const args = ["--vm-socket", open, "--vm-mac-address", MAC, "--dns", "9.9.9.9"];
  const blocked =
    "import os,signal,sys; os.umask(0); signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 13, 15, 17)]; os.execv(sys.argv[1], sys.argv[1:])";
  const softnet = scene.suid(args, ["/usr/bin/python3", "-c", blocked]);
  await until("it listens", () => existsSync(open) || softnet.exit !== undefined);
  assert.match(readFileSync(`/proc/${softnet.pid}/status`, "utf8"), /^Umask:\t0022$/m);
  assert.deepEqual(await softnet.stop("SIGINT"), { code: 0, signal: null });
});

test("SUID: few open files, or pending signals, are one line that names the limit", needs("gcc"), async (t) => {
  const scene = new Scene(t, { conf: `allow-bridge ${BRIDGE}\n` });
  const limited = async (limit: string) => {
    // The loader needs some before: softnet itself is the first program with the limit.
    const program = scene.suid(SHORT, ["prlimit", `--${limit}`]);
    const { code, signal } = await program.ended();
    assert.ok(code !== 0 || signal !== null, `${limit}\n${program.text()}`);
    scene.assertNothingGained(limit);
    return program;
  };
  // Node cannot begin with less, and ends in its own way, before softnet's first statement.
  for (const files of [4, 8, 12, 16, 20]) await limited(`nofile=${files}`);
  for (const files of [22, 24, 28, 32, 40, 64, 95]) {
    const program = await limited(`nofile=${files}`);
    assert.equal(program.stderr.length, 1, program.text());
    assert.match(program.stderr[0]!, /^softnet: .*\(ulimit -n\): softnet needs 96, raise the limit$/);
  }
  const signals = await limited("sigpending=0");
  assert.match(signals.text(), /softnet: pending signals are limited to 0 \(ulimit -i\): softnet needs 64/);
  const least = await limited("nofile=96");
  assert.match(least.stderr.join("\n"), SHORT_ENDS);
  const cable = scene.accounts.cable([...NAT.slice(0, 4), "--bridge", BRIDGE], {
    program: ["prlimit", "--nofile=96", scene.accounts.suid],
  });
  await cable.softnet.ready();
  await cable.softnet.stop();
});

test("SUID: a name of a locale that ICU does not take ends Node before softnet begins", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const long = "a".repeat(1000);
  for (const setting of [`LC_ALL=${long}`, `LANG=${long}`, `LC_MESSAGES=en_US@${long}`, "LC_ALL=abcdefghijkl"]) {
    const program = scene.suid(SHORT, ["prlimit", "--core=unlimited", "env", "-i", setting]);
    const { code, signal } = await program.ended();
    assert.ok(code !== 0 || signal !== null, setting);
    assert.doesNotMatch(program.text(), /nowhere/, "softnet has begun");
    scene.assertNothingGained(setting);
  }
  for (const setting of [`LC_CTYPE=${long}`, `LANGUAGE=${long}`, `TZ=${long}`, `TERM=${long}`, `OTHER=${long}`]) {
    const program = scene.suid(SHORT, ["env", "-i", setting]);
    assert.equal((await program.ended()).code, 1);
    assert.match(program.stderr.join("\n"), SHORT_ENDS, setting);
    scene.assertNothingGained(setting);
  }
});

test("SUID: what softnet starts itself with is no way in", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const agent = scene.suid(["--demo-agent"]);
  assert.equal((await agent.ended()).code, 1, agent.text());
  assert.match(agent.text(), /the demo needs root itself/);
  for (const args of [["--inspect=0", ...SHORT], [`--require=${scene.script}`], ["--node-options=--inspect"]]) {
    const program = scene.suid(args);
    assert.equal((await program.ended()).code, 1);
    assert.match(program.stderr.join("\n"), /unknown option/);
    scene.assertNothingGained(args[0]!);
  }
});

test("root itself: the demo's agents are the executable too", needs(), async (t) => {
  const child = spawn(executable(), ["--demo-agent"], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    serialization: "advanced",
  });
  t.after(() => child.kill("SIGKILL"));
  child.send({ number: 7, action: "nothing of that name", argument: undefined });
  const [report] = (await once(child, "message")) as [{ number: number; error: string }];
  assert.equal(report.number, 7);
  assert.match(report.error, /nothing of that name/);
  child.disconnect();
  assert.deepEqual(await once(child, "exit"), [0, null]);
});

test("SUID: koffi's library has no name, and lies where only root can write", needs("gcc"), async (t) => {
  const scene = new Scene(t);
  const { cable, pid } = await scene.running(NAT, { TMPDIR: scene.trap });
  const libraries = mappedLibraries(pid).filter((path) => path.includes("(deleted)"));
  assert.ok(libraries.length > 0);
  for (const path of libraries) {
    assert.equal(dirname(path), dirname(scene.accounts.suid), path);
    assert.match(basename(path), /^#\d+ \(deleted\)$/);
  }
  assert.deepEqual(readdirSync(dirname(scene.accounts.suid)), ["softnet"]);
  await cable.softnet.stop();
  scene.assertNothingGained("koffi");

  // Where somebody else can write beside the executable, it lies elsewhere.
  for (const [mode, owner] of [
    [0o755, ALICE.uid],
    [0o777, 0],
    [0o775, 0],
  ] as const) {
    const folder = join(scene.lab.directory, `beside-${mode}-${owner}`);
    mkdirSync(folder);
    chmodSync(folder, mode);
    copyFileSync(scene.accounts.suid, join(folder, "softnet"));
    chownSync(folder, owner, owner);
    chmodSync(join(folder, "softnet"), 0o4755);
    const other = scene.accounts.cable(NAT, { program: [join(folder, "softnet")] });
    await other.softnet.ready();
    const found = mappedLibraries(await other.pid("softnet")).filter((path) => path.includes("(deleted)"));
    assert.ok(found.length > 0);
    for (const path of found) assert.match(path, /^\/(root|var\/lib|tmp)\/#\d+ \(deleted\)$/);
    await other.softnet.stop();
    rmSync(folder, { recursive: true });
  }
});

test("without rights: koffi's library comes from a fresh folder of the caller's, which is gone", needs(), async (t) => {
  const scene = new Scene(t);
  const program = [executable()];
  const env = { TMPDIR: scene.trap };
  const cable = scene.accounts.cable([...NAT.slice(0, 4), "--host-fd", "{host}"], { host: true, program, env });
  await cable.softnet.ready();
  const pid = await cable.pid("softnet");
  const [library] = mappedLibraries(pid).filter((path) => path.includes("koffi"));
  assert.match(library!, new RegExp(`^${scene.trap}/softnet-\\w+/koffi.node \\(deleted\\)$`));
  scene.assertNothingGained("koffi");
  for (const { uid, capabilities } of threadsOf(pid)) {
    assert.deepEqual([uid, capabilities], [Array(4).fill(ALICE.uid), Array(3).fill("0".repeat(16))]);
  }
  await cable.softnet.stop();
});

test("SUID: after the start no thread has anything of root's, the helper one capability", needs("nft"), async (t) => {
  const scene = new Scene(t);
  const env = { UV_USE_IO_URING: "1", UV_THREADPOOL_SIZE: "16" };
  const { cable, pid } = await scene.running(NAT, env);
  assertHarmless(pid, ALICE.uid);
  assert.equal(statSync(`/proc/${pid}/environ`).uid, 0, "its user's other programs can look into it");
  const [helper] = await until("there is one helper", () => {
    const found = descendants(pid).filter(isHelper); // what it starts has its name for a moment
    return found.length === 1 && found;
  });
  for (const [index, thread] of threadsOf(helper!).entries()) {
    assert.deepEqual([thread.uid, thread.groups], [Array(4).fill(NOBODY), []], "not one whom its caller may signal");
    // Its first thread alone does something.
    assert.deepEqual(thread.capabilities, Array(3).fill(index === 0 ? CAP_NET_ADMIN : "0".repeat(16)));
    if (index === 0) assert.ok(thread.noNewPrivileges);
  }
  assert.deepEqual((await cable.softnet.stop()).exit, { code: 0, signal: null });
});

test("sudo with a NOPASSWD line for the executable: as root, and back to the caller", needs("sudo"), async (t) => {
  const scene = new Scene(t, { sudoers: `${ALICE.name} ALL=(root) NOPASSWD: {executable}` });
  // The SUID bit must not be what helps it.
  const plain = scene.accounts.suid;
  chmodSync(plain, 0o755);
  t.after(() => chmodSync(plain, 0o4755));
  const cable = scene.accounts.cable(NAT, { program: [plain], env: { NODE_OPTIONS: `--require=${scene.script}` } });
  await cable.softnet.ready();
  const sudo = await cable.pid("softnet");
  assert.equal(readFileSync(`/proc/${sudo}/comm`, "utf8").trim(), "sudo");
  const children = readFileSync(`/proc/${sudo}/task/${sudo}/children`, "utf8").trim().split(" ").map(Number);
  const [softnet] = children.flatMap((pid) => [pid, ...childrenOf(pid)]).filter((pid) => exe(pid) === plain);
  assertHarmless(softnet!, ALICE.uid);
  await scene.accounts.start(["kill", "-INT", String(sudo)]).ended();
  assert.deepEqual((await cable.softnet.ended()).exit, { code: 0, signal: null });
  scene.assertNothingGained("sudo");
});

test("sudo that keeps the caller's environment: his variables do nothing", needs("sudo", "gcc"), async (t) => {
  const sudoers = `Defaults:${ALICE.name} !env_reset\n${ALICE.name} ALL=(root) NOPASSWD:SETENV: {executable}`;
  const scene = new Scene(t, { sudoers });
  const { closed, script, trap } = scene;
  for (const setting of [
    [`NODE_OPTIONS=--require=${script}`],
    [`NODE_V8_COVERAGE=${closed}`],
    [`NODE_V8_COVERAGE=${closed}`, "NODE_CHANNEL_FD=abc"],
    [`NODE_PATH=${join(trap, "node_modules")}`, `TMPDIR=${closed}`, `HOME=${trap}`],
  ]) {
    const program = scene.accounts.start(["env", ...setting, "sudo", "-n", scene.accounts.suid, ...SHORT]);
    await program.ended();
    assert.equal(program.exit?.code, 1, program.text());
    scene.assertNothingGained(setting.join(" "));
  }
});
