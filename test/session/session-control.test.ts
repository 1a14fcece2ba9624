/** What a change of the policy does beside the guard: the network hears of it, and isolation stays as it was decided. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { linuxPlatform } from "../../src/commands/platform/linux.ts";
import type { RunArguments } from "../../src/commands/run-options.ts";
import { createGuard } from "../../src/guard/guard.ts";
import { SOCK_STREAM } from "../../src/native/linux/libc.ts";
import type { Network } from "../../src/networks/network.ts";
import { formatRule, type Rule } from "../../src/policy/rule.ts";
import { UnixStream } from "../../src/ports/unix-stream.ts";
import { SessionControl } from "../../src/session/session-control.ts";
import { SessionLane } from "../../src/session/session-lane.ts";
import { SessionLimits } from "../../src/session/session-limits.ts";
import { Log } from "../../src/telemetry/log.ts";
import { Controller } from "../control/support.ts";
import { libc, pair } from "../support/sockets.ts";

const MAC = "02:00:00:00:00:11";
const set = (allow: readonly string[], more: object = {}): string =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method: "softnet.policy.set", params: { allow, block: [], ...more } });

function setUp(t: TestContext, policyChanged?: (rules: readonly Rule[]) => void) {
  const lines: Record<string, unknown>[] = [];
  const log = new Log({
    level: "debug",
    format: "json",
    write: (line) => {
      lines.push(JSON.parse(line));
      return true;
    },
  });
  const network = {
    label: "a network",
    isolated: true,
    mtu: 1500,
    close: () => {},
    ...(policyChanged && { policyChanged }),
  } as unknown as Network;
  const { fd, end } = pair(SOCK_STREAM);
  const guard = createGuard({ macAddress: MAC, live: true });
  const given: RunArguments = {
    vmMacAddress: MAC,
    releaseOnExit: false,
    captureSize: 0,
    captureFiles: 1,
    logFormat: "json",
  };
  const inherited = new UnixStream(libc, fd);
  const lane = new SessionLane();
  const control = new SessionControl({
    onPolicy: () => {},
    system: linuxPlatform(),
    given,
    rules: [],
    inherited,
    guard,
    lane,
    limits: new SessionLimits("", linuxPlatform().clock),
    network,
    log,
  });
  control.open();
  t.after(() => control.close());
  return { controller: new Controller(t, end), control, guard, lines };
}

test("the network hears of each policy once the guard has it, and of none that was refused", async (t) => {
  const heard: string[][] = [];
  const { controller, guard } = setUp(t, (rules) => {
    assert.equal(guard.rules.length, rules.length);
    heard.push(rules.map(formatRule));
  });
  await controller.ask(set(["10.0.0.0/8", "@dns"]));
  await controller.ask(set(["nonsense"]));
  await controller.ask(set([]));
  assert.deepEqual(heard, [["10.0.0.0/8", "@dns"], []]);
});

test("a network that cannot follow is told in the log, and the set holds", async (t) => {
  const { controller, guard, lines } = setUp(t, () => {
    throw new Error("no more rules");
  });
  assert.match(await controller.ask(set(["10.0.0.0/8"])), /"ruleCount":1/);
  assert.equal(guard.rules.length, 1);
  const error = lines.find(({ level }) => level === "error");
  assert.match(`${error?.message} ${error?.why}`, /^a network did not take the new policy Error: no more rules$/);
});

test("a policy that opens everything does not end isolation: it is refused, or says that isolation stays", async (t) => {
  const { controller, guard } = setUp(t);
  assert.match(await controller.ask(set(["0.0.0.0/0"])), /"code":-32002/);
  assert.equal(guard.rules.length, 0);
  assert.match(await controller.ask(set(["0.0.0.0/0"], { isolation: "keep" })), /"isolated":true/);
  const status = JSON.parse(await controller.ask('{"jsonrpc":"2.0","id":1,"method":"softnet.status"}')).result;
  assert.equal(status.isolated, true);
  assert.equal(status.policy.ruleCount, 1);
});

test("the log tells of a thousand changes in one line", async (t) => {
  const { controller, control, lines } = setUp(t);
  for (let index = 0; index < 1000; index++) await controller.ask(set([`10.0.${index % 256}.0/24`]));
  control.tick(1e9);
  control.tick(1e9 + 50_000);
  const changes = lines.filter(({ message }) => message === "policy changed");
  assert.deepEqual(
    changes.map(({ by, changes: count, allow }) => [by, count, allow]),
    [["control", 1000, 1]],
  );
});
