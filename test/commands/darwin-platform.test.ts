/** macOS' part of `run`, with the stand-ins for Apple's libraries: which options it has, and where its log goes. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { darwinPlatform } from "../../src/commands/platform/darwin.ts";
import type { Platform } from "../../src/commands/platform/platform.ts";
import type { RunArguments } from "../../src/commands/run-options.ts";
import type { Network } from "../../src/networks/network.ts";
import type { PrivilegeWalk } from "../../src/privileges/privileges.ts";
import { Log } from "../../src/telemetry/log.ts";
import { UserError } from "../../src/user-error.ts";
import { temporaryFolder } from "../support/folder.ts";
import { assertNothingHeld, needsTwin, twin } from "../support/twin.ts";

const host = (): Platform => darwinPlatform({ libraries: twin().libraries, release: "25.0.0" });
const given = (options: Partial<RunArguments>) =>
  ({ vmMacAddress: "7e:1a:00:00:00:01", vmFd: 0, captureSize: 0, logFormat: "text", ...options }) as RunArguments;

/** Opens the network that these options ask for; it has an ordinary user's rights to lose, which are none. */
function open(t: TestContext, options: Partial<RunArguments>): Promise<Network> {
  twin().control.preferencesFolder(temporaryFolder(t));
  const log = new Log({ level: "error", format: "text", write: () => true });
  return host().openNetwork({ given: given(options), rules: [], isolated: true, privileges: {} as PrivilegeWalk, log });
}

for (const [options, error] of [
  [{ bridge: "br0" }, /^--bridge is for Linux; leave it out$/],
  [{ hostFd: 4 }, /^--host-fd is for Linux/],
  [{ hostSocket: "/tmp/s" }, /^--host-socket is for Linux/],
  [{ dns: "9.9.9.9" }, /^--dns belongs to --vm-net-type private: macOS chooses it for nat; leave it out$/],
  [{ subnet: "10.99.0.4/30", vmNetType: "host" }, /^--subnet belongs to --vm-net-type private.* for host/],
  [{ expose: "2222:22", vmNetType: "host" }, /^--expose has no use with --vm-net-type host/],
] as const) {
  test(`refused before anything is started: ${JSON.stringify(options)}`, needsTwin(), async (t) => {
    const starts = twin().control.count("starts");
    await assert.rejects(open(t, options), (thrown) => thrown instanceof UserError && error.test(thrown.message));
    assert.equal(twin().control.count("starts"), starts);
  });
}

test("a VM's side that macOS does not have, or none", needsTwin(), () => {
  for (const [options, error] of [
    [{ vmTap: "vm0" }, /^UserError: --vm-tap is for Linux/],
    [{ vmSocket: "/tmp/s" }, /^UserError: --vm-fd and --vm-socket exclude each other/],
    [{ vmReconnect: true }, /^UserError: --vm-reconnect belongs to --vm-socket PATH/],
    [{ vmFd: undefined }, /^UserError: no VM: give --vm-fd N/],
  ] as const) {
    assert.throws(() => host().openVmPort(given(options as Partial<RunArguments>)), error);
  }
});

test("an MTU that vmnet does not carry is refused, and its interface stopped", needsTwin(), async (t) => {
  await assert.rejects(open(t, { mtu: 9000 }), /^UserError: --mtu 9000: vmnet nat .* carries packets of 1500 bytes/);
  await assertNothingHeld();
  const network = await open(t, { mtu: 1400 });
  assert.equal(network.mtu, 1500);
  await network.close();
  await assertNothingHeld();
});

test(
  "the lease time is set for the networks that macOS serves, not for one of softnet's own",
  needsTwin(),
  async (t) => {
    const commits = (): number => twin().control.count("commits");
    const before = commits();
    await (await open(t, { vmNetType: "private" })).close();
    assert.equal(commits(), before);
    await (await open(t, { vmNetType: "host" })).close();
    assert.equal(commits(), before + 1);
  },
);

test("the unified log gets what stderr does not, and what it gets anyway", needsTwin(), () => {
  const log = host().openLog("error", "text");
  log.info("a quiet line");
  log.debug("a line for nobody");
  const told = twin().control.syslogText();
  assert.match(told, /^softnet\[3\.5\] .*message="a quiet line"$/m);
  assert.doesNotMatch(told, /a line for nobody/);
  host().openLog("debug", "text");
});
