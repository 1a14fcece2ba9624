/** `softnet ctl`: what it tells people and programs of running softnets. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { parseRules } from "../../src/policy/rule.ts";
import { MAIN, softnet } from "../support/cli.ts";
import { startSoftnet, until } from "../support/running.ts";
import {
  AS_USER,
  arrives,
  ask,
  controlled,
  isDropped,
  listening,
  PRIVATE,
  parsed,
  place,
  READABLE,
  STATIC,
  set,
  udp,
} from "./control-support.ts";

test("softnet ctl: tables for people, JSON for programs", READABLE, async (t) => {
  const { running, ctl } = await listening(t, { args: ["--block", "8.8.8.8/32"] });
  await isDropped(running, udp(0x08080808));
  const status = ctl("status");
  assert.equal(status.stderr, "");
  assert.match(status.stdout, /^policy +1 rule, stateless, by options, since \d{4}-\S+Z$/m);
  assert.match(status.stdout, /^VM +02:00:00:00:00:11, 192\.168\.64\.9, static$/m);
  assert.match(status.stdout, /^ +1 +policy\.block +a/m);
  assert.equal(JSON.parse(ctl("status", "--json").stdout).policy.ruleCount, 1);
  // Beside the packet that is dropped, one passes behind it.
  const [rule, otherwise] = ctl("get").stdout.split("\n");
  const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;
  assert.match(rule!, new RegExp(`^block 8\\.8\\.8\\.8/32  # 1 hit, last ${time}$`));
  assert.match(otherwise!, new RegExp(`^# the default policy: 1 hit, last ${time}$`));
  assert.deepEqual(JSON.parse(ctl("get", "--json").stdout), { allow: [], block: ["8.8.8.8/32"], ruleCount: 1 });
  const changed = ctl("set", "--allow", "out 10.0.0.0/8:80,@dns", "--block", "");
  assert.equal(changed.stdout, "allow @dns\nallow out 10.0.0.0/8:80\n");
  assert.equal(changed.status, 0);
  await arrives(running, udp(PRIVATE, 80));
  assert.match(
    ctl("explain", "out", "tcp", "10.0.0.1", "80").stdout,
    /^out tcp 10\.0\.0\.1 port 80: passes, by the rule "allow out 10\.0\.0\.0\/8:80"$/m,
  );
  assert.match(
    ctl("explain", "out", "icmp", "10.0.0.1").stdout,
    /^out icmp 10\.0\.0\.1: is dropped as policy\.destination, by the default policy \(not-global\)/,
  );
  assert.equal(JSON.parse(ctl("explain", "in", "47", "10.0.0.1", "--json").stdout).protocol, 47);
  const open = ctl("set", "--allow", "0.0.0.0/0", "--block", "", "--isolation", "keep");
  assert.equal(open.stdout, "allow 0.0.0.0/0\n# the VM is not isolated, as before\n");
  assert.equal(ctl("set", "--allow", "out 10.0.0.0/8:80,@dns", "--block", "").status, 0);
  // What get prints is a policy file.
  const file = place(t, "policy");
  writeFileSync(file, ctl("get").stdout);
  const { readPolicyFile } = await import("../../src/control/policy-file.ts");
  assert.deepEqual(readPolicyFile(file).rules, parseRules(["@dns", "out 10.0.0.0/8:80"], []));
});

test(
  "softnet ctl asks several sockets, or a folder's, in one go, and each answer says whose it is",
  READABLE,
  async (t) => {
    const folder = place(t, "vms");
    mkdirSync(folder);
    chmodSync(folder, 0o777);
    const paths = ["a.ctl", "b.ctl", "c.ctl"].map((name) => join(folder, name));
    const vms = [];
    for (const [index, path] of paths.entries()) {
      const args = [...STATIC, "--control-socket", path, "--block", `10.${index}.0.0/16`];
      vms.push(await startSoftnet(t, { ...AS_USER, args }));
    }
    for (const path of paths) await until(path, () => existsSync(path));
    writeFileSync(join(folder, "no-socket.ctl"), "");
    // A socket of another name may be a VM's: nobody connects to it.
    let connected = false;
    const other = createServer(() => {
      connected = true;
    }).listen(join(folder, "vm.sock"));
    t.after(() => other.close());
    const all = softnet(["ctl", folder, "get"]);
    assert.equal(all.stderr, "");
    assert.equal(
      all.stdout,
      paths
        .map((path, index) => `== ${path}\nblock 10.${index}.0.0/16  # no hits\n# the default policy: no hits\n`)
        .join(""),
    );
    const two = softnet(["ctl", paths[2]!, paths[0]!, paths[2]!, "status", "--json"]).stdout.trim().split("\n");
    assert.deepEqual(
      two.map((line) => JSON.parse(line)).map(({ path, policy }) => [path, policy.ruleCount]),
      [
        [paths[2], 1],
        [paths[0], 1],
      ],
    );
    assert.equal(softnet(["ctl", folder, "set", "--allow", "", "--block", "@private"]).status, 0);
    assert.equal(
      softnet(["ctl", paths[1]!, "get"]).stdout,
      "block @private  # no hits\n# the default policy: no hits\n",
    );
    // One that is gone is a line, and the others answer.
    vms[1]!.child.kill("SIGKILL");
    await vms[1]!.ended();
    const rest = softnet(["ctl", folder, "explain", "out", "tcp", "10.0.0.1", "80"]);
    assert.equal(rest.status, 1);
    assert.equal(rest.stderr, `softnet: ${paths[1]}: no softnet listens there\n`);
    assert.deepEqual(rest.stdout.match(/^== .*$/gm), [`== ${paths[0]}`, `== ${paths[2]}`]);
    assert.equal(rest.stdout.match(/^out tcp 10\.0\.0\.1 port 80: is dropped/gm)?.length, 2);
    assert.equal(connected, false);
  },
);

test("softnet ctl FOLDER without a control socket in it is a mistake", (t) => {
  const folder = place(t, "empty");
  mkdirSync(folder);
  const { status, stderr } = softnet(["ctl", folder, "get"]);
  assert.equal(status, 1);
  assert.match(
    stderr,
    /^softnet: .*\/empty: no socket in it has a name that ends with \.ctl; name the sockets themselves\n$/,
  );
});

test("softnet ctl: what is wrong is one line and exit 1", READABLE, async (t) => {
  const { ctl, path } = await listening(t);
  for (const [words, expected] of [
    [
      ["stop"],
      /^softnet: ctl stop: there is no such command: give status, get, set, explain, names, lane, limits, watch$/,
    ],
    [["status", "now"], /^softnet: ctl status takes no more arguments: now$/],
    [
      ["set", "--allow", "@host"],
      /^softnet: ctl set replaces the whole policy: give --allow LIST and --block LIST, "" for none, or --only LIST$/,
    ],
    [
      ["set", "--allow", "10.0.0.1", "--block", ""],
      /^softnet: --allow "10\.0\.0\.1" is not a rule: did you mean 10\.0\.0\.1\/32\?$/,
    ],
    [
      ["get", "--allow", "@host"],
      /^softnet: --allow, --block, --only and --isolation belong to ctl set, not to ctl get$/,
    ],
    [
      ["watch", "--isolation", "keep"],
      /^softnet: --allow, --block, --only and --isolation belong to ctl set, not to ctl watch$/,
    ],
    [["set", "--allow", "", "--block", "", "--isolation", "off"], /^softnet: --isolation "?off"?.*keep/],
    [
      ["set", "--allow", "0.0.0.0/0", "--block", ""],
      /^softnet: allow 0\.0\.0\.0\/0 would end the VM's isolation, .* softnet ctl set --isolation keep\)$/,
    ],
    [["explain", "out", "tcp"], /^softnet: ctl explain needs in or out/],
    [["explain", "out", "tcp", "1.2.3.4", "http"], /^softnet: ctl explain: "http" is not a port$/],
    [["explain", "up", "tcp", "1.2.3.4"], /^softnet: direction is none of out, in$/],
    [["explain", "out", "tcp", "1.2.3"], /^softnet: remote is not an IPv4 address$/],
  ] as const) {
    const { status, stdout, stderr } = ctl(...words);
    assert.match(stderr.trimEnd(), expected);
    assert.deepEqual([status, stdout], [1, ""]);
  }
  for (const [where, expected] of [
    [`${path}.none`, /: there is no such socket; softnet makes one with --control-socket PATH\n$/],
    [MAIN, /: no softnet listens there\n$/],
  ] as const) {
    const { status, stderr } = softnet(["ctl", where, "status"]);
    assert.match(stderr, expected);
    assert.equal(status, 1);
  }
});

test("softnet ctl watch prints events until Ctrl-C, or until softnet ends", READABLE, async (t) => {
  const { running, path } = await listening(t);
  const watching = (...words: readonly string[]) => {
    const child = spawn(process.execPath, [MAIN, "ctl", path, "watch", ...words], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    t.after(() => child.kill("SIGKILL"));
    const printed = { text: "" };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (part: string) => {
        printed.text += part;
      });
    }
    return { child, printed, exit: once(child, "exit") };
  };
  const people = watching();
  const program = watching("--json");
  await until("both have heard of a drop", () => {
    softnet(["ctl", path, "set", "--allow", "", "--block", ""]);
    running.vm.send(udp(PRIVATE));
    return [people, program].every(({ printed }) => printed.text.includes("10.0.0.1"));
  });
  assert.match(
    people.printed.text,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z drop reason=policy\.destination direction=egress remote=10\.0\.0\.1 frame="[^"]+"$/m,
  );
  assert.equal(
    JSON.parse(program.printed.text.split("\n").find((line) => line.includes('"drop"'))!).remote,
    "10.0.0.1",
  );
  people.child.kill("SIGINT");
  assert.deepEqual(await people.exit, [0, null]);
  running.child.kill("SIGTERM");
  assert.deepEqual(await program.exit, [1, null]);
  assert.match(program.printed.text, /softnet: .*: softnet has closed the connection\n$/);
});

test(
  "--policy adds to the options; SIGHUP reads it again and undoes a set; a mistake in it changes nothing",
  READABLE,
  async (t) => {
    const file = place(t, "policy");
    writeFileSync(file, "allow 10.0.0.0/8 # the neighbours\n");
    const { running, controller } = await controlled(t, {
      ...AS_USER,
      args: ["--policy", file, "--block", "8.8.8.8/32"],
    });
    const get = async () => parsed(await controller.ask(ask("softnet.policy.get")));
    const again = async (found: (record: Record<string, unknown>) => boolean) => {
      const before = running.log.length;
      running.child.kill("SIGHUP");
      return await until("the log tells", () => running.log.slice(before).find(found));
    };
    const isRead = ({ message, by }: Record<string, unknown>) => message === "policy changed" && by === "file";
    await arrives(running, udp(PRIVATE));
    const start = { allow: ["10.0.0.0/8"], block: ["8.8.8.8/32"], ruleCount: 2 };
    assert.deepEqual(await get(), start);
    await controller.ask(set(["@dns"]));
    await isDropped(running, udp(PRIVATE));
    await again(isRead);
    assert.deepEqual(await get(), start);
    await arrives(running, udp(PRIVATE));
    writeFileSync(file, "allow 10.0.0.0/8\nallow nonsense\nblock @host\n");
    const { message, level } = await again(({ message: text }) => /line 2/.test(String(text)));
    assert.match(
      String(message),
      /^--policy .*policy line 2: allow "nonsense" is not a rule: .*; the policy stays as it was$/,
    );
    assert.equal(level, "error");
    assert.deepEqual(await get(), start);
    writeFileSync(file, "block 10.0.0.0/8");
    await again(isRead);
    await isDropped(running, udp(PRIVATE));
    assert.deepEqual((await get()).block, ["10.0.0.0/8", "8.8.8.8/32"]);
    const ended = running.ended();
    running.child.kill("SIGTERM");
    assert.equal((await ended).code, 0);
  },
);
