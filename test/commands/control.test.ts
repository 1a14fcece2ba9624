/** A running softnet and its controllers: the policy changes under frames, and softnet ctl tells people. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { Controller } from "../control/support.ts";
import { MAIN, type Ran, softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Running, type RunningOptions, startSoftnet, until, VM_MAC } from "../support/running.ts";
import { libc, pair } from "../support/sockets.ts";
import { needsReadable } from "../support/tools.ts";

const VM = 0x020000000011;
const ROUTER = 0x020000000001;
const ADDRESS = 0xc0a84009; // 192.168.64.9
const FAR = 0x01010101;
const PRIVATE = 0x0a000001; // 10.0.0.1
const STATIC = ["--vm-ip-address", "192.168.64.9", "--gateway", "192.168.64.1"];
const NOBODY = 65_534;
const READABLE = needsReadable();
const AS_USER = process.getuid?.() === 0 ? { uid: NOBODY } : {};

const udp = (destination: number, port = 443): Uint8Array =>
  emitEthernet(
    ROUTER,
    VM,
    0x0800,
    emitUdp({ source: ADDRESS, destination, sourcePort: 4000, destinationPort: port }, new Uint8Array(20)),
  );
const set = (allow: readonly string[], block: readonly string[] = []): string =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method: "softnet.policy.set", params: { allow, block } });
const ask = (method: string, params: object = {}): string => JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

async function arrives(running: Running, frame: Uint8Array): Promise<void> {
  running.vm.send(frame);
  assert.deepEqual(await until("a frame at the network", () => running.network.receive()), Buffer.from(frame));
}

/** Sends a frame that must not arrive, and one behind it that does. */
async function isDropped(running: Running, frame: Uint8Array): Promise<void> {
  running.vm.send(frame);
  await arrives(running, udp(FAR));
}

/** softnet with a control channel on descriptor 5. */
async function controlled(t: TestContext, options: RunningOptions = {}) {
  const { fd, end } = pair(SOCK_STREAM);
  const running = await startSoftnet(t, {
    ...options,
    args: [...STATIC, "--control-fd", "5", ...(options.args ?? [])],
    fifth: fd,
  });
  return { running, controller: new Controller(t, end) };
}

function place(t: TestContext, name: string): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o777);
  return join(folder, name);
}

/** softnet with a control socket, as an ordinary user's. */
async function listening(t: TestContext, options: RunningOptions = {}) {
  const path = place(t, "control");
  const args = [...STATIC, "--control-socket", path, ...(options.args ?? [])];
  const running = await startSoftnet(t, { ...AS_USER, ...options, args });
  await until(`the socket\n${running.stderr()}`, () => existsSync(path));
  const ctl = (...words: readonly string[]): Ran => softnet(["ctl", path, ...words]);
  return { running, path, ctl };
}

const parsed = (line: string) => JSON.parse(line).result;

test("a set opens and closes what frames meet next, and the end of the channel leaves it so", async (t) => {
  const { running, controller } = await controlled(t);
  await isDropped(running, udp(PRIVATE));
  await controller.ask(set(["10.0.0.0/8"]));
  await arrives(running, udp(PRIVATE));
  await controller.ask(set(["out 10.0.0.0/8:80"], ["out 1.1.1.1/32:53"]));
  await isDropped(running, udp(PRIVATE));
  await isDropped(running, udp(FAR, 53));
  await arrives(running, udp(PRIVATE, 80));
  controller.end.close();
  await isDropped(running, udp(PRIVATE));
  await arrives(running, udp(PRIVATE, 80));
  const ended = running.ended();
  running.child.kill("SIGTERM");
  assert.equal((await ended).code, 0);
});

test("status, explain and what get says agree with what happens", async (t) => {
  const { running, controller } = await controlled(t, {
    args: ["--allow", "out 10.0.0.9/8:80", "--block", "@metadata"],
  });
  await isDropped(running, udp(PRIVATE));
  const status = parsed(await controller.ask(ask("softnet.status")));
  assert.equal(status.network, "--host-fd 4");
  assert.equal(status.isolated, false);
  assert.equal(status.mac, VM_MAC);
  assert.equal(status.gateway, "192.168.64.1");
  assert.equal(status.binding.address, "192.168.64.9");
  assert.equal(status.binding.origin, "static");
  assert.deepEqual(status.policy, { ruleCount: 2, stateful: true, file: null });
  assert.deepEqual(status.flows, { inUse: 1, limit: 32_768 });
  assert.equal(status.counters.egress.frames, 1);
  assert.deepEqual(status.counters.egress.drops, { "policy.destination": 1 });
  assert.ok(status.uptime >= 0 && status.uptime < 60);
  assert.deepEqual(parsed(await controller.ask(ask("softnet.policy.get"))), {
    allow: ["out 10.0.0.0/8:80"],
    block: ["@metadata"],
    ruleCount: 2,
  });
  const explain = async (question: object) => parsed(await controller.ask(ask("softnet.explain", question)));
  const asked = { direction: "out", protocol: "tcp", remote: "10.0.0.1", port: 80 };
  assert.deepEqual(await explain(asked), {
    ...asked,
    verdict: "pass",
    rule: { action: "allow", text: "out 10.0.0.0/8:80" },
  });
  assert.deepEqual(await explain({ ...asked, port: 81 }), {
    ...asked,
    port: 81,
    verdict: "drop",
    reason: "policy.destination",
    default: "not-global",
  });
});

test("events: drops once for each reason and remote address, and policy changes", async (t) => {
  const { running, controller } = await controlled(t);
  await controller.ask(ask("softnet.events"));
  for (let round = 0; round < 3; round++) {
    await isDropped(running, udp(PRIVATE));
    await isDropped(running, udp(PRIVATE + 1));
  }
  const events = (await controller.lines(2)).map((line) => JSON.parse(line));
  assert.ok(
    events.every(({ jsonrpc, id, method }) => jsonrpc === "2.0" && id === undefined && method === "softnet.event"),
  );
  assert.deepEqual(
    events.map(({ params: { event, reason, direction, remote } }) => [event, reason, direction, remote]),
    [
      ["drop", "policy.destination", "egress", "10.0.0.1"],
      ["drop", "policy.destination", "egress", "10.0.0.2"],
    ],
  );
  assert.match(events[0].params.frame, /10\.0\.0\.1/);
  await controller.send(`${set(["out 10.0.0.0/8"], ["@host"])}\n`);
  const [first, second] = (await controller.lines(2)).map((line) => JSON.parse(line));
  const { params } = first.method ? first : second;
  assert.deepEqual(
    { ...params, time: undefined },
    { event: "policy", time: undefined, by: "control", ruleCount: 2, stateful: true, flowsEnded: 0 },
  );
  await controller.ask(set([]));
  await controller.line();
  await isDropped(running, udp(PRIVATE)); // worth telling again
  assert.equal(JSON.parse(await controller.line()).params.remote, "10.0.0.1");
});

test("on standard output, as newer Tart has it, nothing but answers is ever written", async (t) => {
  const { fd, end } = pair(SOCK_STREAM);
  const running = await startSoftnet(t, { args: [...STATIC, "--control-fd", "1"], vmFd: 0, stdout: fd });
  const controller = new Controller(t, end);
  await controller.ask(set(["10.0.0.0/8"]));
  await arrives(running, udp(PRIVATE));
  await controller.ask(ask("softnet.nothing"));
  const ended = running.ended();
  running.child.kill("SIGINT");
  assert.equal((await ended).code, 0);
  assert.equal(await controller.closing(), "");
});

test("10,000 sets while frames flow: each is answered, no frame that stays allowed is lost", async (t) => {
  const { running, controller } = await controlled(t);
  await arrives(running, udp(FAR));
  let sent = 0;
  let received = 0;
  let flowing = true;
  const flow = (async () => {
    while (flowing || received < sent) {
      for (let burst = 0; flowing && burst < 8; burst++) if (running.vm.send(udp(FAR)) > 0) sent++;
      received += running.network.receiveAll().length;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  const texts = [set(["out 10.0.0.0/8:80"], ["@metadata"]), set(["10.0.0.0/8"]), set([])];
  for (let round = 0; round < 100; round++) {
    await controller.send(Array.from({ length: 100 }, (_, index) => `${texts[(round + index) % 3]}\n`).join(""));
    for (const line of await controller.lines(100)) assert.ok("result" in JSON.parse(line), line);
  }
  flowing = false;
  await flow;
  assert.ok(sent > 100, `${sent} frames`);
  assert.equal(received, sent);
});

for (const [what, args, words] of [
  [
    "a closed descriptor",
    ["--control-fd", "77"],
    /^softnet: --control-fd 77: this descriptor is not open; pass a connected unix stream/,
  ],
  ["no socket", ["--control-fd", "0"], /^softnet: --control-fd 0: not a socket; pass/],
  ["a datagram socket", ["--control-fd", "5"], /^softnet: --control-fd 5: not a unix stream socket; pass/],
  ["the log's descriptor", ["--control-fd", "2"], /^softnet: --control-fd 2: that is where the log goes/],
  ["the VM's descriptor", ["--control-fd", "3"], /^softnet: --control-fd 3: that is the VM's descriptor too/],
  ["the network's descriptor", ["--control-fd", "4"], /^softnet: --control-fd 4: that is the network's descriptor too/],
  [
    "a folder that is missing",
    ["--control-socket", "/nonexistent/ctl"],
    /^softnet: --control-socket \/nonexistent\/ctl: the folder/,
  ],
  [
    "a policy file that is missing",
    ["--policy", "/nonexistent/policy"],
    /^softnet: --policy \/nonexistent\/policy: there is no such file/,
  ],
] as const) {
  test(`${what}: one line, exit 1`, () => {
    const ends = [pair(SOCK_DGRAM), pair(SOCK_DGRAM), pair(SOCK_DGRAM)];
    const stdio = ["ignore", "pipe", "pipe", ...ends.map(({ fd }) => fd)] as const;
    const base = ["--vm-fd", "3", "--host-fd", "4", "--vm-mac-address", VM_MAC];
    const { status, stderr } = softnet([...base, ...args], { stdio });
    for (const { fd, end } of ends) {
      libc.close(fd);
      end.close();
    }
    assert.match(stderr, words);
    assert.match(stderr, /^[^\n]+\n$/);
    assert.equal(status, 1);
  });
}

test("a socket that is not connected is refused", () => {
  const fd = libc.socket(1, SOCK_STREAM, 0);
  const vm = pair(SOCK_DGRAM);
  const { stderr } = softnet(["--vm-fd", "3", "--host-fd", "9", "--vm-mac-address", VM_MAC, "--control-fd", "4"], {
    stdio: ["ignore", "pipe", "pipe", vm.fd, fd],
  });
  libc.close(fd);
  libc.close(vm.fd);
  vm.end.close();
  assert.match(stderr, /^softnet: --control-fd 4: the socket is not connected; pass/);
});

test("I8 the control socket is its user's alone, serves several clients and goes with softnet", READABLE, async (t) => {
  const { running, path } = await listening(t);
  const { mode, uid } = lstatSync(path);
  assert.equal(mode & 0o777, 0o600);
  assert.equal(uid, AS_USER.uid ?? process.getuid?.());
  const { ControlClient } = await import("../../src/control/client.ts");
  const [one, other] = await Promise.all([ControlClient.connect(path), ControlClient.connect(path)]);
  await one.ask("softnet.policy.set", { allow: ["@private"], block: [] });
  assert.deepEqual((await other.ask("softnet.policy.get")).allow, ["@private"]);
  other.close();
  await arrives(running, udp(PRIVATE));
  const ended = running.ended();
  running.child.kill("SIGINT");
  assert.equal((await ended).code, 0);
  assert.ok(!existsSync(path));
  await assert.rejects(one.ask("softnet.status"), /no answer to softnet\.status/);
  one.close();
});

test("SIGKILL leaves a socket that the next softnet replaces; a living one's is refused", READABLE, async (t) => {
  const first = await listening(t);
  first.running.child.kill("SIGKILL");
  await first.running.ended();
  assert.ok(existsSync(first.path));
  const second = await startSoftnet(t, { ...AS_USER, args: [...STATIC, "--control-socket", first.path] });
  await until("it listens", () => first.ctl("get").status === 0);
  const third = pair(SOCK_DGRAM);
  const ends = ["--vm-fd", "3", "--host-fd", "4", "--vm-mac-address", VM_MAC];
  const ran = softnet([...ends, "--control-socket", first.path], {
    stdio: ["ignore", "pipe", "pipe", third.fd, third.end.fd],
    ...AS_USER,
  });
  libc.close(third.fd);
  third.end.close();
  assert.match(ran.stderr, /exists already and a program has it open/);
  assert.equal(ran.status, 1);
  assert.equal(first.ctl("get").status, 0);
  const ended = second.ended();
  second.child.kill("SIGTERM");
  assert.equal((await ended).code, 0);
  assert.ok(!existsSync(first.path));
});

test("softnet ctl: tables for people, JSON for programs", READABLE, async (t) => {
  const { running, ctl } = await listening(t, { args: ["--block", "8.8.8.8/32"] });
  await isDropped(running, udp(0x08080808));
  const status = ctl("status");
  assert.equal(status.stderr, "");
  assert.match(status.stdout, /^policy +1 rule, stateless$/m);
  assert.match(status.stdout, /^VM +02:00:00:00:00:11, 192\.168\.64\.9, static$/m);
  assert.match(status.stdout, /^ +1 +policy\.block +a/m);
  assert.equal(JSON.parse(ctl("status", "--json").stdout).policy.ruleCount, 1);
  assert.equal(ctl("get").stdout, "block 8.8.8.8/32\n");
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
  assert.deepEqual(readPolicyFile(file), parseRules(["@dns", "out 10.0.0.0/8:80"], []));
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
    assert.equal(all.stdout, paths.map((path, index) => `== ${path}\nblock 10.${index}.0.0/16\n`).join(""));
    const two = softnet(["ctl", paths[2]!, paths[0]!, paths[2]!, "status", "--json"]).stdout.trim().split("\n");
    assert.deepEqual(
      two.map((line) => JSON.parse(line)).map(({ path, policy }) => [path, policy.ruleCount]),
      [
        [paths[2], 1],
        [paths[0], 1],
      ],
    );
    assert.equal(softnet(["ctl", folder, "set", "--allow", "", "--block", "@private"]).status, 0);
    assert.equal(softnet(["ctl", paths[1]!, "get"]).stdout, "block @private\n", "one path: as ever");
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
    [["stop"], /^softnet: ctl stop: there is no such command: give status, get, set, explain, lane, watch$/],
    [["status", "now"], /^softnet: ctl status takes no more arguments: now$/],
    [
      ["set", "--allow", "@host"],
      /^softnet: ctl set replaces the whole policy: give --allow LIST and --block LIST, "" for none$/,
    ],
    [
      ["set", "--allow", "10.0.0.1", "--block", ""],
      /^softnet: --allow "10\.0\.0\.1" is not a rule: did you mean 10\.0\.0\.1\/32\?$/,
    ],
    [["get", "--allow", "@host"], /^softnet: --allow, --block and --isolation belong to ctl set, not to ctl get$/],
    [
      ["watch", "--isolation", "keep"],
      /^softnet: --allow, --block and --isolation belong to ctl set, not to ctl watch$/,
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

test("I7 a set or a file that opens cloud metadata without naming it is warned of, once", async (t) => {
  const { running, controller } = await controlled(t);
  const warnings = () =>
    running.log
      .filter(({ level }) => level === "warn")
      .map(({ message }) => String(message))
      .filter((line) => !line.startsWith("--host-fd")); // of its start (G20)
  await controller.ask(set(["169.254.0.0/16"]));
  await controller.ask(set(["168.0.0.0/8", "out 169.0.0.0/8:80"]));
  await until("a warning", () => warnings().length > 0);
  await controller.ask(set(["168.0.0.0/8", "out 169.0.0.0/8:80"], ["@host"]));
  await until("the next line", () => running.log.filter(({ message }) => message === "policy changed").length === 2);
  assert.equal(warnings().length, 1, warnings().join("\n"));
  assert.match(warnings()[0]!, /168\.0\.0\.0\/8.*also opens cloud metadata/);
});

test("options and file together are at most 4,096 rules", (t) => {
  const file = place(t, "policy");
  writeFileSync(
    file,
    Array.from({ length: 4096 }, (_, index) => `allow 10.${index >> 8}.${index & 255}.0/24\n`).join(""),
  );
  const run = (...args: readonly string[]) =>
    softnet(["replay", "/nonexistent.pcap", "--vm-mac-address", VM_MAC, "--policy", file, ...args]).stderr;
  assert.match(run(), /nonexistent\.pcap/);
  assert.match(run("--block", "@host"), /^softnet: 4097 rules are too many: at most 4096/);
});
