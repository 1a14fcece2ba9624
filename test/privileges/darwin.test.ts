/** macOS' walk from root's rights to none. Ids work alike on Linux, so it walks here, in processes of its own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { needsReadable, needsRoot } from "../support/tools.ts";

const NOBODY = 65_534;

/** Runs a program in which `privileges(given)` makes them, as this user; answers what it printed. */
function run(body: string, uid = 0): string {
  const source = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  const program = `
    import { loadLibc } from ${source("native/linux/libc.ts")};
    import { DarwinPrivileges } from ${source("privileges/darwin.ts")};
    const privileges = (given) => new DarwinPrivileges(loadLibc(), given);
    const failure = (action) => { try { action(); return "none"; } catch (error) { return error.name + ": " + error.message; } };
    ${body}`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    encoding: "utf8",
    uid,
    gid: uid,
    cwd: "/",
    // No sudo has been asked: root's process is root's own.
    env: { PATH: process.env.PATH },
  });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

test("root becomes nobody, or whom root names, with one group, and cannot come back", needsRoot(), () => {
  const ids = `console.log(JSON.stringify([process.getuid(), process.geteuid(), process.getgid(), process.getegid(), process.getgroups()]));`;
  assert.equal(
    run(`const p = privileges({ vmFd: 0 }); p.obtain({}, []); p.drop(); p.drop(); ${ids}`),
    JSON.stringify([NOBODY, NOBODY, NOBODY, NOBODY, [NOBODY]]),
  );
  assert.equal(
    run(`process.setgroups([0, 4, 27]); const p = privileges({ user: "1234", group: "77" }); p.drop(); ${ids}`),
    JSON.stringify([1234, 1234, 77, 77, [77]]),
  );
  assert.match(run(`const p = privileges({}); p.drop(); console.log(failure(() => process.setuid(0)))`), /EPERM/);
  assert.match(run(`console.log(failure(() => privileges({ user: "root" })))`), /UserError: --user root/);
});

test("rights that remain are an error: nothing may run then", needsRoot(), () => {
  const lies = `process.getgroups = () => [4]; const p = privileges({}); console.log(failure(() => p.drop()))`;
  assert.match(run(lies), /^UserError: root's rights cannot be dropped to .*the groups are 4/);
});

test("without root: nat and host want it at once, a private network only when vmnet refuses", {
  ...needsRoot(),
  ...needsReadable(),
}, () => {
  const obtain = (type: string) => `const p = privileges({ vmFd: 0, vmNetType: "${type}" });
    console.log(failure(() => p.obtain({ sudoEscalationDone: true }, [])));`;
  const refused = /^UserError: sudo has started softnet, but not as root/;
  for (const type of ["nat", "host"]) assert.match(run(obtain(type), NOBODY), refused);
  assert.equal(run(obtain("private"), NOBODY), "none");
  assert.match(run(`${obtain("private")} console.log(failure(() => p.seekRoot()));`, NOBODY).split("\n")[1]!, refused);
  assert.equal(run(`${obtain("nat")} p.seekRoot();`), "none");
});

test("an ordinary user's own process has nothing to drop", { ...needsRoot(), ...needsReadable() }, () => {
  const body = `const p = privileges({ vmNetType: "private" }); p.drop(); console.log(p.dropped, p.caller.kind)`;
  assert.equal(run(body, NOBODY), "false self");
});
