/** Several sessions in one process: each with its own ports, policy, counters, log context and end. */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openCapture } from "../../src/capture/index.ts";
import { linuxPlatform } from "../../src/commands/platform/linux.ts";
import type { VerdictMessage } from "../../src/guard/diagnostics.ts";
import { SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { UnixStream } from "../../src/ports/unix-stream.ts";
import { PortClosed } from "../../src/relay/port.ts";
import type { SessionArguments } from "../../src/session/options.ts";
import { Session } from "../../src/session/session.ts";
import type { SessionSystem } from "../../src/session/system.ts";
import { Log } from "../../src/telemetry/log.ts";
import { formatIPv4, formatMac } from "../../src/wire/address.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { Controller } from "../control/support.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/running.ts";
import { type End, libc, pair } from "../support/sockets.ts";
import { collectUncaught } from "../support/uncaught.ts";

const ROUTER = 0x020000000001;
const FAR = 0x01010101;
const BLOCKED = 0x08080808;
const FIRST_MAC = 0x020000000011;
const FIRST_ADDRESS = 0xc0a84009; // 192.168.64.9

interface Scene {
  readonly session: Session;
  readonly number: number;
  readonly vm: End;
  readonly network: End;
  readonly control: End;
  readonly controller: Controller;
}

interface Line {
  readonly vm?: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A packet of session `number`'s VM. */
function out(number: number, destination = FAR, mac = FIRST_MAC + number): Uint8Array {
  const ports = { sourcePort: 4000, destinationPort: 443 };
  const packet = emitUdp({ source: FIRST_ADDRESS + number, destination, ...ports }, new Uint8Array([number]));
  return emitEthernet(ROUTER, mac, 0x0800, packet);
}

function logs() {
  const lines: Line[] = [];
  const logOf = (number: number): Log =>
    new Log({
      level: "info",
      format: "json",
      context: { vm: `vm${number}` },
      write: (line) => lines.push(JSON.parse(line)) > 0,
    });
  return { lines, logOf };
}

interface Given {
  readonly number: number;
  readonly log: Log;
  readonly system?: SessionSystem;
  readonly more?: Partial<SessionArguments>;
}

async function start(t: TestContext, { number, log, system = linuxPlatform(), more }: Given): Promise<Scene> {
  const [vm, network, control] = [pair(SOCK_DGRAM), pair(SOCK_DGRAM), pair(SOCK_STREAM)];
  const args = {
    vmFd: vm.fd,
    hostFd: network.fd,
    controlFd: control.fd,
    vmMacAddress: formatMac(FIRST_MAC + number),
    vmIpAddress: formatIPv4(FIRST_ADDRESS + number),
    releaseOnExit: true,
    captureSize: 1_000_000,
    captureFiles: 1,
    ...more,
  };
  const privileges = linuxPlatform().privileges({ ...args, logFormat: "json" });
  t.after(() => [vm, network, control].map(({ end }) => end.close()));
  const session = await Session.prepare({ args, system, privileges, log, control: new UnixStream(libc, control.fd) });
  t.after(() => session.close());
  await session.open();
  session.start();
  return {
    session,
    number,
    vm: vm.end,
    network: network.end,
    control: control.end,
    controller: new Controller(t, control.end),
  };
}

const status = async ({ controller }: Scene) =>
  JSON.parse(await controller.ask(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "softnet.status" }))).result;

const block = (rule: string): string =>
  JSON.stringify({ jsonrpc: "2.0", id: 2, method: "softnet.policy.set", params: { allow: [], block: [rule] } });

const descriptors = (): number => readdirSync("/proc/self/fd").length;

async function passes({ vm, network }: Scene, frame: Uint8Array): Promise<void> {
  vm.send(frame);
  assert.deepEqual(await until("a frame at the network", () => network.receive()), Buffer.from(frame));
}

test("three sessions in one process: each has its own frames, policy, counters, capture and log context", async (t) => {
  const folder = temporaryFolder(t);
  const { lines, logOf } = logs();
  const capture = (number: number): string => join(folder, `${number}.pcapng`);
  const scenes: Scene[] = [];
  for (const number of [0, 1, 2]) {
    scenes.push(await start(t, { number, log: logOf(number), more: { capture: capture(number) } }));
  }
  for (const scene of scenes) await passes(scene, out(scene.number));
  // A policy of the second one's, which the others do not have.
  await scenes[1]!.controller.ask(block(`out ${formatIPv4(BLOCKED)}/32`));
  for (const scene of scenes) {
    scene.vm.send(out(scene.number, BLOCKED));
    await passes(scene, out(scene.number, FAR + 1)).catch(() => undefined);
  }
  await until(
    "the blocked frame",
    async () => ((await status(scenes[1]!)).counters.egress.drops["policy.block"] ?? 0) === 1 || undefined,
  );
  for (const number of [0, 2]) {
    assert.deepEqual((await status(scenes[number]!)).counters.egress.drops, {});
    assert.equal((await status(scenes[number]!)).policy.ruleCount, 0);
  }
  // Another VM's address is as foreign here as in a process of its own.
  scenes[0]!.vm.send(out(1));
  await until(
    "the spoofed frame",
    async () => (await status(scenes[0]!)).counters.egress.drops["ethernet.source"] || undefined,
  );
  assert.equal((await status(scenes[1]!)).counters.egress.drops["ethernet.source"], undefined);

  for (const { session } of scenes) session.stop(true);
  for (const { session } of scenes) await session.close();
  for (const number of [0, 1, 2]) {
    const summary = lines.find(({ vm, message }) => vm === `vm${number}` && message === "summary");
    assert.equal(summary?.["ethernet.source"], number === 0 ? 1 : undefined);
    const frames = [...openCapture(capture(number))];
    assert.ok(frames.length >= 3);
    assert.ok(frames.every(({ bytes }) => bytes.length >= 14));
  }
});

test("a session that ends or is closed takes nothing from the others, and leaves no descriptor behind", async (t) => {
  const { lines, logOf } = logs();
  linuxPlatform(); // whatever is loaded once
  const before = descriptors();
  const scenes: Scene[] = [];
  for (const number of [0, 1, 2]) scenes.push(await start(t, { number, log: logOf(number) }));
  const [first, second, third] = scenes as [Scene, Scene, Scene];
  first.vm.close();
  const end = await first.session.ended;
  assert.equal(end.side, "vm");
  assert.ok(end.error instanceof PortClosed);
  await passes(second, out(1));
  first.session.stop(true);
  await first.session.close();
  await first.session.close(); // harmless
  await passes(second, out(1));
  await second.session.close(); // also without `stop`
  await passes(third, out(2));
  await third.session.close();
  for (const { vm, network, control } of scenes) {
    vm.close();
    network.close();
    control.close();
  }
  assert.equal(descriptors(), before);
  assert.equal(lines.filter(({ message }) => message === "summary").length, 3);
});

test("a session that cannot be opened takes away what it had made, in order, and the others go on", async (t) => {
  const { logOf } = logs();
  const good = await start(t, { number: 0, log: logOf(0) });
  const before = descriptors();
  const closed: string[] = [];
  const platform = linuxPlatform();
  const noting = <T extends { close(): unknown }>(name: string, part: T): T =>
    new Proxy(part, {
      get: (target, key) => {
        const value = Reflect.get(target, key, target);
        if (key === "close") {
          return () => {
            closed.push(name);
            return target.close();
          };
        }
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const system: SessionSystem = {
    ...platform,
    openVmPort: (given, newTap) => noting("vm", platform.openVmPort(given, newTap)),
    openNetwork: async (request) => noting("network", await platform.openNetwork(request)),
    listenForControl: () => {
      throw new Error("no socket can be made");
    },
  };
  const failing = start(t, {
    number: 1,
    log: logOf(1),
    system,
    more: { controlSocket: join(tmpdir(), "softnet-never-made.ctl") },
  });
  await assert.rejects(failing, /no socket can be made/);
  assert.deepEqual(closed, ["network", "vm"]); // the VM's port last: nothing passes from the moment the network is closed
  assert.equal(descriptors(), before + 3); // the test's own ends
  await passes(good, out(0));
});

test("verdicts of a running session can be observed, also from the middle on, and a subscriber that throws stops nothing", async (t) => {
  const thrown = collectUncaught(t);
  const { logOf } = logs();
  const scene = await start(t, { number: 0, log: logOf(0) });
  await passes(scene, out(0));
  const seen: string[] = [];
  const fault = new Error("a subscriber's own");
  const listen = (message: unknown): void => {
    const { macAddress, direction, verdict, reason, frame } = message as VerdictMessage;
    seen.push(
      `${macAddress} ${direction} ${reason ?? verdict} ${Buffer.from(frame).equals(out(0)) ? "first" : "other"}`,
    );
    throw fault;
  };
  subscribe("softnet:verdict", listen);
  t.after(() => unsubscribe("softnet:verdict", listen));
  await passes(scene, out(0));
  scene.vm.send(out(1)); // another VM's addresses
  await until("the spoofed frame", async () => seen.length > 1 || undefined);
  const mac = formatMac(FIRST_MAC);
  assert.deepEqual(seen, [`${mac} egress pass first`, `${mac} egress ethernet.source other`]);
  unsubscribe("softnet:verdict", listen);
  await passes(scene, out(0));
  assert.equal(seen.length, 2);
  assert.deepEqual(thrown, [fault, fault]);
});
