/** A running softnet and its controllers: the policy changes under frames. */
import assert from "node:assert/strict";
import { existsSync, lstatSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { Controller } from "../control/support.ts";
import { softnet } from "../support/cli.ts";
import { startSoftnet, until, VM_MAC } from "../support/running.ts";
import { libc, pair } from "../support/sockets.ts";
import {
  AS_USER,
  arrives,
  ask,
  controlled,
  FAR,
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
  const { since, ...policy } = status.policy;
  assert.deepEqual(policy, { ruleCount: 2, stateful: true, file: null, source: "options" });
  assert.match(since, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  const set = ask("softnet.policy.set", { allow: ["out 10.0.0.0/8:80"], block: ["@metadata"], isolation: "keep" });
  await controller.ask(set);
  const { policy: changed } = parsed(await controller.ask(ask("softnet.status")));
  assert.equal(changed.source, "control");
  assert.ok(changed.since > since);
  await controller.ask(set);
  const { policy: again } = parsed(await controller.ask(ask("softnet.status")));
  assert.equal(again.since, changed.since, "what holds already was set again");
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
