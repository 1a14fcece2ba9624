/** The control channel and the policy file of a softnet that had root's rights: whose they are, also through sudo. */
import assert from "node:assert/strict";
import { chmodSync, lstatSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { needsReadable, type Tool } from "../support/tools.ts";
import { Accounts, type AccountsOptions, ALICE, BOB, lastChild } from "./harness/accounts.ts";
import type { Cable } from "./harness/cable.ts";
import { ControlPath, setPolicy } from "./harness/control.ts";
import { until } from "./harness/program.ts";
import { softnetCommand } from "./harness/softnet.ts";
import { BRIDGE, Lab, labNeeds, tool } from "./harness/topology.ts";

const VM = ["--vm-fd", "{vm}", "--vm-mac-address", "7e:1a:00:00:00:01"];
const ON_BRIDGE = [...VM, "--bridge", BRIDGE];
const needs = (...tools: readonly Tool[]) => ({ ...labNeeds(...tools), ...needsReadable(), ...LIMIT });
const SUDO = { sudoers: `${ALICE.name} ALL=(root) NOPASSWD: {softnet}`, conf: `allow-bridge ${BRIDGE}\n` };
const GET = '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.get"}';
const SET =
  '{"jsonrpc":"2.0","id":2,"method":"softnet.policy.set","params":{"allow":["@private"],"block":[],"desiredRevision":1}}';
const UNKNOWN = '{"jsonrpc":"2.0","id":3,"method":"softnet.nothing"}';

function open(t: TestContext, options: AccountsOptions): { lab: Lab; accounts: Accounts } {
  const lab = Lab.open(t);
  return { lab, accounts: new Accounts(lab, options) };
}

/** Asks through the far end of the channel; everything that softnet writes there is in `cable.printed`. */
async function askAll(cable: Cable): Promise<void> {
  await cable.run("controller", ["/usr/bin/python3", tool("controller.py"), "{control}", GET, SET, UNKNOWN]);
  await cable.line(/^asked$/);
}

const ANSWERS = [
  'answer: {"jsonrpc":"2.0","id":1,"result":{"allow":[],"block":["@metadata"],"ruleCount":1}}',
  'answer: {"jsonrpc":"2.0","id":2,"result":{"allow":["@private"],"block":[],"ruleCount":1,"desiredRevision":1}}',
  'answer: {"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"there is no method \\"softnet.nothing\\""}}',
  "asked",
];

for (const [what, control, descriptor] of [
  ["on a descriptor of its own", true, "{control}"],
  ["as standard output, as Tart has it", "stdout", "1"],
] as const) {
  test(
    `sudo: the control channel ${what} survives the escalation, and nothing but answers is written to it`,
    needs("sudo"),
    async (t) => {
      const { accounts } = open(t, SUDO);
      const args = [...ON_BRIDGE, "--control-fd", descriptor, "--block", "@metadata"];
      const cable = accounts.cable(args, { control });
      await cable.softnet.ready();
      await askAll(cable);
      const sudo = await cable.pid("softnet");
      const softnet = lastChild(sudo);
      assert.notEqual(softnet, sudo, "it went through sudo");
      assert.equal(readlinkSync(`/proc/${softnet}/fd/1`), "/dev/null");
      await accounts.start(["kill", "-INT", String(sudo)]).ended();
      assert.deepEqual((await cable.softnet.ended()).exit, { code: 0, signal: null });
      await cable.line(/^end$/);
      assert.deepEqual(cable.printed, [...ANSWERS, "end"]);
    },
  );
}

test("the channel's end leaves softnet running and the policy as it was set", needs("sudo"), async (t) => {
  const { accounts } = open(t, SUDO);
  const cable = accounts.cable([...ON_BRIDGE, "--control-fd", "{control}", "--block", "@metadata"], { control: true });
  await cable.softnet.ready();
  await askAll(cable);
  await cable.stop("controller");
  cable.close("control");
  await new Promise((resolve) => setTimeout(resolve, 300));
  const { exit } = await cable.softnet.stop();
  assert.deepEqual(exit, { code: 0, signal: null });
  assert.ok(cable.softnet.records.some(({ message, allow }) => message === "policy changed" && allow === 1));
});

test("SUID: the control socket is the caller's, and others have no way in", needs("gcc"), async (t) => {
  const { lab, accounts } = open(t, SUDO);
  const path = join(accounts.folder("own", ALICE.uid), "ctl");
  const cable = accounts.cable([...ON_BRIDGE, "--control-socket", path], { program: [accounts.suid] });
  await cable.softnet.ready();
  const { uid, gid, mode } = lstatSync(path);
  assert.deepEqual([uid, gid, mode & 0o777], [ALICE.uid, ALICE.uid, 0o600]);
  const ctl = softnetCommand(["ctl", path, "get"]);
  chmodSync(join(path, ".."), 0o755); // so that only the socket itself is in the way
  const become = ["setpriv", "--reuid", BOB.name, "--regid", BOB.name, "--clear-groups"];
  const [first, ...rest] = [...accounts.within, ...become, ...ctl];
  const bob = lab.start(lab.host, first!, rest);
  assert.equal((await bob.ended()).code, 1);
  assert.match(bob.text(), /ctl: permission denied: only the user who started that softnet may connect/);
  const own = accounts.start(ctl);
  assert.equal((await own.ended()).code, 0, own.text());
});

test(
  "SUID: --policy is read with the caller's rights, and a control socket made with them",
  needs("gcc"),
  async (t) => {
    const { lab, accounts } = open(t, SUDO);
    const secret = join(lab.directory, "secret");
    writeFileSync(secret, "not for alice\n");
    chmodSync(secret, 0o600);
    for (const [args, words] of [
      [["--policy", secret], /^softnet: --policy .*secret: user 64001 may not read it$/],
      [
        ["--control-socket", join(lab.directory, "ctl")],
        /^softnet: --control-socket .*: no permission to make a socket in/,
      ],
    ] as const) {
      const cable = accounts.cable([...ON_BRIDGE, ...args], { program: [accounts.suid] });
      assert.equal((await cable.ended("softnet")).code, 1);
      const lines = cable.softnet.program.stderr;
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.match(lines[0]!, words);
      assert.ok(!lab.host.links().some((link) => link.startsWith("softnet")));
    }
  },
);

test(
  "a file that allows everything at start ends isolation, and no later policy brings it back",
  needs(),
  async (t) => {
    const lab = Lab.open(t);
    const control = new ControlPath(lab);
    const file = join(lab.directory, "policy");
    writeFileSync(file, "allow 0.0.0.0/0\n");
    const guest = await lab.guest({ bare: false, args: ["--policy", file, ...control.options] });
    const client = await control.client();
    t.after(() => client.close());
    const isolated = async () => (await client.ask("softnet.status")).isolated;
    assert.equal(guest.softnet!.records.find(({ message }) => message === "started")?.isolated, false);
    assert.equal(await isolated(), false);
    await assert.rejects(setPolicy(client, [], ["0.0.0.0/0"]), /would bring back the VM's isolation/);
    await client.ask("softnet.policy.set", { allow: [], block: ["0.0.0.0/0"], isolation: "keep" });
    assert.equal(await isolated(), false);
    // The same from the file.
    writeFileSync(file, "block 0.0.0.0/0\n");
    process.kill(guest.softnet!.program.pid, "SIGHUP");
    const refused = () =>
      guest.softnet!.records.find(({ message }) => /would bring back .* stays as it was$/.test(String(message)));
    await until("the file is refused", refused);
    assert.deepEqual((await client.ask("softnet.policy.get")).block, ["0.0.0.0/0"]);
    assert.deepEqual((await guest.stop()).exit, { code: 0, signal: null });
  },
);

test("SIGHUP through sudo reads the policy file again, with the caller's rights", needs("sudo"), async (t) => {
  const { accounts } = open(t, SUDO);
  const file = join(accounts.folder("own", ALICE.uid), "policy");
  writeFileSync(file, "block @metadata\n");
  const cable = accounts.cable([...ON_BRIDGE, "--control-fd", "{control}", "--policy", file], { control: true });
  await cable.softnet.ready();
  await askAll(cable);
  assert.equal(cable.printed[0], ANSWERS[0]);
  const sudo = await cable.pid("softnet");
  const hangUp = () => accounts.start(["kill", "-HUP", String(sudo)]).ended();
  const told = (message: RegExp) => () => cable.softnet.records.find((record) => message.test(String(record.message)));
  writeFileSync(file, "allow 10.0.0.0/8\nblock\n");
  await hangUp();
  await until("the mistake is told", told(/^--policy .* line 2: /));
  writeFileSync(file, "allow 10.0.0.0/8\nblock 10.0.0.0/9\nblock @metadata\n");
  await hangUp();
  const found = () => cable.softnet.records.find(({ message, by }) => message === "policy changed" && by === "file");
  const { allow, block } = await until("it is read", found);
  assert.deepEqual([allow, block], [1, 2]);
  assert.equal((await cable.softnet.stop()).exit.code, 0);
});
