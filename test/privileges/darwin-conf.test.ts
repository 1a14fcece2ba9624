/** `vm-net-type` and `ipv6` in /etc/softnet.conf, on macOS: followed where the caller does not give the option, as Tart. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { darwinPlatform } from "../../src/commands/platform/darwin.ts";
import type { RunArguments } from "../../src/commands/run-options.ts";
import type { VmNetType } from "../../src/privileges/conf.ts";
import type { PrivilegeWalk } from "../../src/privileges/privileges.ts";
import { Log } from "../../src/telemetry/log.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsReadable, needsRoot } from "../support/tools.ts";
import { assertNothingHeld, needsTwin, twin } from "../support/twin.ts";

const RELEASE = "25.0.0";
const NOBODY = 65_534;
const needs = () => ({ ...needsTwin(), ...needsRoot() });

/** Root's file with this text. */
function conf(t: TestContext, text: string): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const path = join(folder, "softnet.conf");
  writeFileSync(path, text, { mode: 0o644 });
  return path;
}

const tartGives = (vmNetType?: VmNetType) =>
  ({ vmMacAddress: "7e:1a:00:00:00:01", vmFd: 0, ...(vmNetType && { vmNetType }) }) as RunArguments;

/** The label of the network that is opened. */
async function opened(t: TestContext, text: string, vmNetType?: VmNetType): Promise<string> {
  twin().control.preferencesFolder(temporaryFolder(t));
  const host = darwinPlatform({ libraries: twin().libraries, release: RELEASE, conf: conf(t, text) });
  const log = new Log({ level: "error", format: "text", write: () => true });
  const given = tartGives(vmNetType);
  const network = await host.openNetwork({ given, rules: [], isolated: true, privileges: {} as PrivilegeWalk, log });
  await network.close();
  return network.label;
}

test("the network is root's choice, the caller's where he makes one, and else nat", needs(), async (t) => {
  assert.match(await opened(t, "vm-net-type private\n"), /^private [\d.]+\/30$/);
  assert.match(await opened(t, "vm-net-type host\n"), /^vmnet host\b/);
  assert.match(await opened(t, ""), /^vmnet nat\b/);
  assert.match(await opened(t, "vm-net-type private\n", "nat"), /^vmnet nat\b/);
  assert.match(await opened(t, "vm-net-type private\n", "host"), /^vmnet host\b/);
  assert.match(await opened(t, "vm-net-type nat\n", "private"), /^private /);
  await assertNothingHeld();
});

test(
  "a file that is wrong or not root's alone is refused, unless the caller's choice makes it needless",
  needs(),
  async (t) => {
    await assert.rejects(opened(t, "vm-net-type bridged\n"), /^UserError: .*softnet\.conf line 1: vm-net-type wants/);
    assert.match(await opened(t, "vm-net-type bridged\n", "nat"), /^vmnet nat\b/);
    const path = conf(t, "vm-net-type private\n");
    chmodSync(path, 0o666);
    const host = darwinPlatform({ libraries: twin().libraries, release: RELEASE, conf: path });
    assert.throws(() => host.privileges(tartGives()), /^UserError: .*can be written by others than root/);
  },
);

test("IPv6 is on where root or the caller switches it on, and off otherwise", needs(), (t) => {
  const ipv6 = (text: string, given: RunArguments = tartGives()) =>
    darwinPlatform({ libraries: twin().libraries, release: RELEASE, conf: conf(t, text) }).withSettings!(given).ipv6;
  assert.equal(ipv6(""), undefined);
  assert.equal(ipv6("vm-net-type private\n"), undefined);
  assert.equal(ipv6("vm-net-type private\nipv6 # for Tart\n"), true);
  assert.equal(ipv6("ipv6\n", tartGives("nat")), true);
  assert.equal(ipv6("", { ...tartGives(), ipv6: true }), true);
  assert.throws(() => ipv6("ipv6 yes\n"), /^UserError: .*softnet\.conf line 1: "yes" is too much/);
  assert.equal(ipv6("ipv6 yes\n", tartGives("nat")), undefined, "a wrong file opens nothing");
});

test("without root: what root chose decides whether sudo is asked at once", { ...needs(), ...needsReadable() }, (t) => {
  twin(); // built before somebody else wants it
  const source = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const asked = (text: string, vmNetType?: VmNetType): string => {
    const options = JSON.stringify({ release: RELEASE, conf: conf(t, text) });
    const program = `
      import { darwinPlatform } from ${source("../../src/commands/platform/darwin.ts")};
      import { twin } from ${source("../support/twin.ts")};
      const host = darwinPlatform({ libraries: twin().libraries, ...${options} });
      const privileges = host.privileges(${JSON.stringify(tartGives(vmNetType))});
      try { privileges.obtain({ sudoEscalationDone: true }, []); console.log("not asked"); }
      catch (error) { console.log(error.name + ": " + error.message); }`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
      encoding: "utf8",
      uid: NOBODY,
      gid: NOBODY,
      cwd: "/",
      env: { PATH: process.env.PATH },
    });
    assert.equal(status, 0, stderr);
    return stdout.trim();
  };
  const refused = /^UserError: sudo has started softnet, but not as root/;
  assert.equal(asked("vm-net-type private\n"), "not asked");
  assert.match(asked("vm-net-type private\n", "nat"), refused);
  assert.match(asked(""), refused);
  assert.equal(asked("vm-net-type nat\n", "private"), "not asked");
});
