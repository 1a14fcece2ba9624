/** Whose rights softnet has, however it was started, and what a hostile caller gets out of one that had root's. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { needsReadable, type Tool } from "../support/tools.ts";
import {
  Accounts,
  type AccountsOptions,
  ALICE,
  BOB,
  descendants,
  isHelper,
  TEAM,
  type Thread,
  threadsOf,
} from "./harness/accounts.ts";
import type { Cable, CableOptions } from "./harness/cable.ts";
import { lease } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import { asBefore, hostState } from "./harness/nat.ts";
import { type Program, sleep, until } from "./harness/program.ts";
import { Softnet, softnetArguments } from "./harness/softnet.ts";
import { BRIDGE, GATEWAY, INTERNET, Lab, labNeeds } from "./harness/topology.ts";

const MAC = "7e:1a:00:00:00:01";
const VM = ["--vm-fd", "{vm}", "--vm-mac-address", MAC];
const TAP = ["--vm-tap", "svm0", "--vm-mac-address", MAC];
const ON_BRIDGE = [...VM, "--bridge", BRIDGE];
const ALLOWED = `allow-bridge ${BRIDGE} user ${ALICE.name}\n`;
const NOBODY = 65_534;
const needs = (...tools: readonly Tool[]) => ({ ...labNeeds(...tools), ...needsReadable(), ...LIMIT });

function open(t: TestContext, options: AccountsOptions = {}): { lab: Lab; accounts: Accounts } {
  const lab = Lab.open(t);
  return { lab, accounts: new Accounts(lab, options) };
}

/** Asserts that every thread is this user's, in one group, without any capability. */
function assertRights(threads: readonly Thread[], uid: number, gid = uid): void {
  assert.ok(threads.length > 1, "Node has more than one thread");
  for (const thread of threads) {
    assert.deepEqual(thread.uid, [uid, uid, uid, uid]);
    assert.deepEqual(thread.gid, [gid, gid, gid, gid]);
    assert.deepEqual(thread.groups, [gid]);
    assert.deepEqual(thread.capabilities, Array(3).fill("0".repeat(16)));
  }
  assert.ok(threads.some(({ noNewPrivileges }) => noNewPrivileges));
}

/** Asserts that the host's helper is nobody's, whom a softnet's caller may not signal, and what else it may not. */
async function assertHelper(softnet: number): Promise<void> {
  // What it starts has its name for a moment.
  const helpers = await until("there is one helper", () => {
    const found = descendants(softnet).filter(isHelper);
    return found.length === 1 && found;
  });
  for (const [index, { uid, gid, groups, capabilities, noNewPrivileges }] of helpers.flatMap(threadsOf).entries()) {
    assert.deepEqual(uid, Array(4).fill(NOBODY));
    assert.ok(!gid.some((id) => id === 0 || id === ALICE.uid), gid.join(" "));
    assert.deepEqual(groups, []);
    // Its first thread, which alone does something; the others have none.
    assert.deepEqual(capabilities, Array(3).fill(index === 0 ? "0000000000001000" : "0".repeat(16)));
    if (index === 0) assert.ok(noNewPrivileges);
  }
}

/** Asserts that the processes of its own user cannot look into it: what belongs to it in /proc is root's. */
function assertClosed(pid: number): void {
  assert.equal(statSync(`/proc/${pid}/environ`).uid, 0);
}

/** Asserts one line on stderr, exit 1, and no interface left. */
async function assertRefused(lab: Lab, how: Cable | Program, words: RegExp): Promise<void> {
  const isCable = "softnet" in how;
  const program = isCable ? how.softnet.program : how;
  const exit = isCable ? await how.ended("softnet") : await how.ended();
  assert.equal(exit.code, 1, program.text());
  assert.equal(program.stderr.length, 1, program.text());
  assert.match(program.stderr[0]!, words);
  assert.ok(!program.stderr[0]!.startsWith("{"), program.text());
  assert.deepEqual(lab.host.links(), LINKS);
}

const LINKS = ["lo", BRIDGE, "nb0", "up0"].sort();

/** What the start line says of the rights. */
function told(softnet: Softnet): unknown {
  return softnet.records.find(({ message }) => message === "started")?.privileges;
}

test("root itself: nobody afterwards, with the TAP on the bridge", needs(), async (t) => {
  const lab = Lab.open(t);
  const guest = await lab.guest({
    bare: false,
    address: "10.77.0.5/24",
    args: ["--vm-ip-address", "10.77.0.5", "--gateway", GATEWAY],
  });
  const { pid } = guest.softnet!.program;
  assertRights(threadsOf(pid), NOBODY);
  assertClosed(pid);
  assert.match(String(told(guest.softnet!)), /^user nobody, group \w+, no capabilities$/);
  assert.ok(await guest.ping(GATEWAY));
});

test("root itself names files and sockets with its own rights", needs(), async (t) => {
  const { lab, accounts } = open(t);
  const secret = accounts.folder("secret", 0);
  const server = createServer(() => {}).listen(join(secret, "cable"));
  t.after(() => server.close());
  const args = [...VM, "--host-socket", join(secret, "cable"), "--capture", join(secret, "frames.pcapng")];
  const cable = accounts.cable(args, { uid: 0 });
  await cable.softnet.ready();
  assertRights(threadsOf(await cable.pid("softnet")), NOBODY);
  assert.equal((await cable.softnet.stop()).exit.code, 0);
  assert.equal(statSync(join(secret, "frames.pcapng")).uid, 0);
  assert.deepEqual(lab.host.links(), LINKS);
});

test("root itself, with --user and --group by name and by number", needs(), async (t) => {
  const { lab, accounts } = open(t);
  for (const [args, uid, gid] of [
    [["--user", ALICE.name], ALICE.uid, ALICE.uid],
    [["--user", BOB.name, "--group", TEAM.name], BOB.uid, TEAM.gid],
    [["--user", "64009", "--group", "64010"], 64_009, 64_010],
    [["--group", TEAM.name], NOBODY, TEAM.gid],
  ] as const) {
    const cable = accounts.cable([...ON_BRIDGE, ...args], { uid: 0 });
    await cable.softnet.ready();
    assertRights(threadsOf(await cable.pid("softnet")), uid, gid);
    assert.equal((await cable.softnet.stop()).exit.code, 0);
  }
  for (const [args, words] of [
    [["--user", "nosuch"], /--user nosuch: there is no such user/],
    [["--group", "nosuch"], /--group nosuch: there is no such group/],
    [["--user", "root"], /--user root: softnet does not filter as root/],
    [["--user", "64009"], /--user 64009: .*--group/],
  ] as const) {
    await assertRefused(lab, accounts.cable([...ON_BRIDGE, ...args], { uid: 0 }), words);
  }
});

test("an ordinary user with --host-fd: nothing is asked of sudo, nothing is gained", needs(), async (t) => {
  const { accounts } = open(t);
  const args = [...VM, "--host-fd", "{host}"];
  for (const more of [[], ["--user", ALICE.name]]) {
    const cable = accounts.cable([...args, ...more], { host: true });
    await cable.softnet.ready();
    const pid = await cable.pid("softnet");
    assert.deepEqual(threadsOf(pid)[0]!.uid, Array(4).fill(ALICE.uid));
    assert.deepEqual(threadsOf(pid)[0]!.capabilities, Array(3).fill("0".repeat(16)));
    assert.equal(told(cable.softnet), `user ${ALICE.name}, group ${ALICE.name}, no capabilities`);
    assert.equal((await cable.softnet.stop()).exit.code, 0);
  }
});

test(
  "SUID: the caller's rights in every thread, closed to his other programs, and his SIGINT ends it",
  needs(),
  async (t) => {
    const { lab, accounts } = open(t, { conf: ALLOWED });
    const cable = accounts.cable(ON_BRIDGE, { program: [accounts.suid] });
    await cable.softnet.ready();
    const pid = await cable.pid("softnet");
    assertRights(threadsOf(pid), ALICE.uid);
    assertClosed(pid);
    assert.ok(lab.host.links().length > LINKS.length);
    // Node would open its debugger.
    await accounts.start(["kill", "-USR1", String(pid)]).ended();
    await sleep(300);
    assert.deepEqual(cable.softnet.errors, []);
    const { stdout } = await lab.host.run("ss", ["-ltnp"]);
    assert.doesNotMatch(stdout, /9229/);
    await accounts.start(["kill", "-INT", String(pid)]).ended();
    assert.deepEqual((await cable.softnet.ended()).exit, { code: 0, signal: null });
    assert.deepEqual(lab.host.links(), LINKS);
  },
);

test("SUID: a new TAP and the caller's own need no permission, root's does", needs(), async (t) => {
  const { lab, accounts } = open(t);
  const listening = join(accounts.folder("sockets", ALICE.uid), "cable");
  const server = createServer(() => {}).listen(listening);
  t.after(() => server.close());
  chmodSync(listening, 0o777);
  const args = [...TAP, "--host-socket", listening, "--log-format", "json"];
  const softnet = () => new Softnet(accounts.start([accounts.suid, ...args]));

  const first = softnet();
  await first.ready();
  assertRights(threadsOf(first.program.pid), ALICE.uid);
  assert.ok(lab.host.hasLink("svm0"));
  await first.stop();
  assert.deepEqual(lab.host.links(), LINKS);

  lab.host.ip("tuntap", "add", "svm0", "mode", "tap", "user", String(ALICE.uid));
  const second = softnet();
  await second.ready();
  assertRights(threadsOf(second.program.pid), ALICE.uid);
  await second.stop();
  lab.host.ip("link", "delete", "svm0");

  lab.host.ip("tuntap", "add", "svm0", "mode", "tap", "user", String(BOB.uid));
  const third = softnet();
  assert.equal((await third.program.ended()).code, 1);
  assert.match(third.program.text(), /--vm-tap svm0: .*"allow-tap svm0 user softnet-alice" into \/etc\/softnet\.conf/);
});

test("SUID: a network of its own needs no permission, a port below 1024 does", needs("nft"), async (t) => {
  const { lab, accounts } = open(t, { conf: "allow-ports 80-90\n" });
  const nat = [...VM, "--dns", "9.9.9.9"];
  const cable = accounts.cable([...nat, "--expose", "80:80,2222:22"], { program: [accounts.suid] });
  await cable.softnet.ready();
  const pid = await cable.pid("softnet");
  assertRights(threadsOf(pid), ALICE.uid);
  assertClosed(pid);
  await assertHelper(pid);
  assert.equal((await cable.softnet.stop()).exit.code, 0);
  await until("nothing is left", () => lab.host.links().length === LINKS.length);
  const refused = accounts.cable([...nat, "--expose", "2222:22,79:80"], { program: [accounts.suid] });
  await assertRefused(lab, refused, /--expose 79: .*"allow-ports 79 user softnet-alice"/);
});

test(
  "CAP_NET_ADMIN as an ambient capability: nat without root, and nothing is left",
  needs("nft", "udhcpc"),
  async (t) => {
    const { lab, accounts } = open(t);
    const before = await hostState(lab.host);
    const become = ["setpriv", "--reuid", ALICE.name, "--regid", ALICE.name, "--init-groups"];
    const give = ["--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin", "--no-new-privs"];
    const args = softnetArguments([...TAP, "--dns", INTERNET, "--expose", "2222:22"], accounts.source);
    const [first, ...rest] = [...accounts.within, ...become, ...give, ...args];
    for (const signal of ["SIGINT", "SIGKILL"] as const) {
      const softnet = new Softnet(lab.start(lab.host, first!, rest, { label: "softnet" }));
      await softnet.ready();
      const { pid } = softnet.program;
      const helpers = await until("there is one helper", () => {
        const found = descendants(pid).filter(isHelper);
        return found.length === 1 && found;
      });
      for (const { uid, gid, capabilities, noNewPrivileges } of [pid, ...helpers].flatMap(threadsOf)) {
        assert.deepEqual([uid, gid], [Array(4).fill(ALICE.uid), Array(4).fill(ALICE.uid)]);
        assert.deepEqual(capabilities, Array(3).fill("0000000000001000"));
        assert.ok(noNewPrivileges);
      }
      assert.equal(told(softnet), `user ${ALICE.name}, group ${ALICE.name}, capabilities 0x1000`);
      const guest = Guest.at(lab, lab.namespace("guest"), "svm0", MAC, softnet);
      lab.host.ip("link", "set", "svm0", "netns", guest.namespace.name);
      guest.namespace.ip("link", "set", "svm0", "up");
      const { router } = await lease(guest);
      assert.ok(await guest.ping(router));
      assert.ok(await guest.ping(INTERNET), "no NAT");
      const exit = await softnet.program.stop(signal);
      assert.deepEqual(exit, signal === "SIGINT" ? { code: 0, signal: null } : { code: null, signal });
      await asBefore(lab.host, before);
      for (const helper of helpers) await until("the helpers end", () => !existsSync(`/proc/${helper}`));
    }
  },
);

test("SUID: what /etc/softnet.conf does not allow is refused in one line", needs(), async (t) => {
  const cases: readonly (readonly [AccountsOptions, readonly string[], RegExp])[] = [
    [{}, ON_BRIDGE, /--bridge br0: .*"allow-bridge br0 user softnet-alice" into \/etc\/softnet\.conf/],
    [{ conf: `allow-bridge ${BRIDGE} user ${BOB.name}\nallow-bridge br1` }, ON_BRIDGE, /--bridge br0: /],
    [{ conf: ALLOWED, confMode: 0o664 }, ON_BRIDGE, /softnet\.conf can be written by others/],
    [{ conf: ALLOWED, confOwner: ALICE.uid }, ON_BRIDGE, /softnet\.conf belongs to user 64001/],
    [{ conf: `# ours\nallow-bridges br0\n` }, ON_BRIDGE, /softnet\.conf line 2: "allow-bridges"/],
    [{ conf: ALLOWED }, [...ON_BRIDGE, "--user", "root"], /--user root: /],
    [{ conf: ALLOWED }, [...ON_BRIDGE, "--user", BOB.name], /--user softnet-bob: only root itself/],
    [{ conf: ALLOWED }, [...ON_BRIDGE, "--group", TEAM.name], /--group softnet-team: only root itself/],
    [{ conf: ALLOWED }, [...ON_BRIDGE, "--capture", "/etc/softnet-lab.pcapng"], /permission denied.*softnet-alice/],
    [{ conf: ALLOWED }, [...ON_BRIDGE, "--vm-tap", "svm0"], /--vm-fd and --vm-tap/],
  ];
  for (const [options, args, words] of cases) {
    await t.test(String(words), async (inner) => {
      const { lab, accounts } = open(inner, options);
      await assertRefused(lab, accounts.cable(args, { program: [accounts.suid] }), words);
    });
  }
});

test("SUID: files and sockets are the caller's to name, with his rights", needs(), async (t) => {
  const { lab, accounts } = open(t, { conf: `allow-bridge ${BRIDGE} group ${ALICE.name}\n` });
  const own = join(accounts.folder("own", ALICE.uid), "frames.pcapng");
  const cable = accounts.cable([...ON_BRIDGE, "--capture", own], { program: [accounts.suid] });
  await cable.softnet.ready();
  assert.equal(statSync(own).uid, ALICE.uid);
  await cable.softnet.stop();

  const secret = join(lab.directory, "secret");
  const server = createServer(() => assert.fail("it was connected to")).listen(secret);
  t.after(() => server.close());
  chmodSync(secret, 0o600);
  const connects = accounts.cable([...VM, "--host-socket", secret], { program: [accounts.suid] });
  await assertRefused(lab, connects, /no permission to connect/);

  const file = join(lab.directory, "secret.pcap");
  writeFileSync(file, "not for alice");
  chmodSync(file, 0o600);
  const reads = accounts.start([accounts.suid, "replay", file, "--vm-mac-address", MAC]);
  await assertRefused(lab, reads, /permission denied/);
  await assertRefused(lab, accounts.start([accounts.suid, "demo"]), /the demo needs root itself/);
});

/** A cable whose softnet became sudo, which runs softnet; answers softnet's own process too. */
async function throughSudo(accounts: Accounts, args: readonly string[], options: CableOptions = {}) {
  const cable = accounts.cable(args, options);
  await cable.softnet.ready();
  const sudo = await cable.pid("softnet");
  const softnet = descendants(sudo).find((pid) => threadsOf(pid).length > 1); // sudo has one
  assert.ok(softnet !== undefined, "softnet does not run below sudo");
  return { cable, sudo, softnet };
}

test(
  "sudo: an ordinary user's softnet starts again as root, keeps its socket and drops to him",
  needs("sudo"),
  async (t) => {
    const { lab, accounts } = open(t, {
      sudoers: `${ALICE.name} ALL=(root) NOPASSWD: {softnet}`,
      conf: `allow-bridge ${BRIDGE} group ${TEAM.name}\n`,
    });
    for (const env of [{}, { SENTRY_DSN: "https://nowhere" }]) {
      const { cable, sudo, softnet } = await throughSudo(accounts, ON_BRIDGE, { env });
      assert.notEqual(softnet, sudo);
      assertRights(threadsOf(softnet), ALICE.uid);
      assertClosed(softnet);
      const started = cable.softnet.records.find(({ message }) => message === "started");
      assert.equal(started?.vm, "--vm-fd 0");
      // As Tart stops it: the process that it started is sudo by now.
      await accounts.start(["kill", "-INT", String(sudo)]).ended();
      assert.deepEqual((await cable.softnet.ended()).exit, { code: 0, signal: null });
      assert.deepEqual(lab.host.links(), LINKS);
    }
  },
);

test("sudo: the helper for a network of its own is nobody's, not the caller's", needs("sudo", "nft"), async (t) => {
  const { lab, accounts } = open(t, { sudoers: `${ALICE.name} ALL=(root) NOPASSWD: {softnet}` });
  const before = await hostState(lab.host);
  const { cable, sudo, softnet } = await throughSudo(accounts, [...VM, "--dns", "9.9.9.9"]);
  assertRights(threadsOf(softnet), ALICE.uid);
  await assertHelper(softnet);
  await accounts.start(["kill", "-INT", String(sudo)]).ended();
  assert.deepEqual((await cable.softnet.ended()).exit, { code: 0, signal: null });
  await asBefore(lab.host, before);
});

test("root itself with --user: the helper is nobody's all the same", needs("nft"), async (t) => {
  const { lab, accounts } = open(t);
  const before = await hostState(lab.host);
  const cable = accounts.cable([...VM, "--dns", "9.9.9.9", "--user", ALICE.name], { uid: 0 });
  await cable.softnet.ready();
  const pid = await cable.pid("softnet");
  assertRights(threadsOf(pid), ALICE.uid);
  await assertHelper(pid);
  assert.equal((await cable.softnet.stop()).exit.code, 0);
  await asBefore(lab.host, before);
});

test("sudo: the VM goes away, exit 0; SIGKILL of softnet or of sudo leaves nothing", needs("sudo"), async (t) => {
  const { lab, accounts } = open(t, { sudoers: `${ALICE.name} ALL=(ALL) NOPASSWD: ALL` });
  const first = await throughSudo(accounts, ON_BRIDGE);
  first.cable.close("vm");
  assert.deepEqual((await first.cable.softnet.ended()).exit, { code: 0, signal: null });
  const second = await throughSudo(accounts, ON_BRIDGE);
  process.kill(second.softnet, "SIGKILL");
  await second.cable.ended("softnet");
  await until("its TAP is gone", () => lab.host.links().length === LINKS.length);
  const third = await throughSudo(accounts, ON_BRIDGE);
  await accounts.start(["kill", "-KILL", String(third.sudo)]).ended();
  await until("softnet is gone", () => !existsSync(`/proc/${third.softnet}`));
  assert.deepEqual(lab.host.links(), LINKS);
});

test("sudo: a rule for softnet alone makes nobody root", needs("sudo"), async (t) => {
  const { lab, accounts } = open(t, { sudoers: `${ALICE.name} ALL=(root) NOPASSWD: {softnet}` });
  await assertRefused(lab, accounts.cable(ON_BRIDGE, {}), /--bridge br0: user softnet-alice may not ask for it/);
  const sudo = (...args: readonly string[]) => accounts.start(["sudo", "-n", ...accounts.source, ...args]);
  const given = [...TAP, "--host-socket", "/nowhere"];
  await assertRefused(lab, sudo(...given, "--user", "root"), /--user root: /);
  await assertRefused(lab, sudo(...given, "--user", BOB.name), /--user softnet-bob: only root itself/);
  await assertRefused(lab, sudo(...given, "--capture", "/etc/x.pcapng"), /\/nowhere/);
  await assertRefused(lab, sudo("demo"), /the demo needs root itself/);
  const file = join(lab.directory, "secret.pcap");
  writeFileSync(file, "not for alice");
  chmodSync(file, 0o600);
  await assertRefused(lab, sudo("replay", file, "--vm-mac-address", MAC), /permission denied/);
});

test("sudo: no rule, no password; and a rule that leads elsewhere", needs("sudo"), async (t) => {
  const { lab, accounts } = open(t, { sudoers: `${ALICE.name} ALL=(${BOB.name}) NOPASSWD: ALL` });
  await assertRefused(
    lab,
    accounts.cable(ON_BRIDGE, {}),
    /^softnet: root privileges are required to run and passwordless sudo was not available: run softnet through sudo$/,
  );
  await assertRefused(lab, accounts.cable([...ON_BRIDGE, "--sudo-escalation-done"], {}), /not as root/);
});

test("the machine's own accounts, rules and permissions were not touched", needs(), () => {
  assert.ok(!existsSync("/etc/sudoers.d/softnet-lab"));
  assert.doesNotMatch(readFileSync("/etc/passwd", "utf8"), /softnet-/);
});
