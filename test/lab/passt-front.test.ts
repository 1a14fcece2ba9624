/**
 * softnet in passt's place, as libvirt 9.2 and newer start it: a link called passt to the packaged executable stands in PATH
 * before the real passt, is started by a user without rights, and returns once QEMU can connect.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { executable } from "../support/executable.ts";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import { until } from "./harness/program.ts";
import { INTERNET, Lab, labNeeds } from "./harness/topology.ts";
import { HEADLESS, KERNEL_ARGUMENTS } from "./qemu/desk.ts";
import { URL, worked } from "./qemu/guest.ts";
import { initramfs } from "./qemu/initramfs.ts";
import { kernel, needsKernel } from "./qemu/kernel.ts";

const MAC = "52:54:00:00:00:01";
/** A user without any rights. */
const USER = 65_534;
/** Sends with an address that is not its own. */
const SPOOF = `ip address add 10.77.0.77/32 dev eth0; ping -c 2 -W 1 -I 10.77.0.77 ${INTERNET}`;

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

class Scene {
  readonly folder: string;
  readonly #lab: Lab;
  readonly #bin: string;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.folder = join(lab.directory, "session");
    this.#bin = join(lab.directory, "bin");
    for (const path of [this.folder, this.#bin]) mkdirSync(path);
    chownSync(this.folder, USER, USER);
    chmodSync(lab.directory, 0o755);
    copyFileSync(executable(), join(this.#bin, "softnet"));
    symlinkSync("softnet", join(this.#bin, "passt"));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** What libvirt runs; returns its exit code and errors. */
  async passt(...more: readonly string[]) {
    const { folder } = this;
    const environment = [`HOME=${folder}`, `TMPDIR=${folder}`, `PATH=${this.#bin}:${process.env.PATH}`];
    const line = ["--one-off", "--socket", this.path("socket"), "--mac-addr", MAC, "--pid", this.path("pid")];
    const user = ["--reuid", String(USER), "--regid", String(USER), "--clear-groups"];
    const words = [...user, "env", ...environment, "passt", ...line, "--log-file", this.path("log"), ...more];
    return await this.#lab.host.run("setpriv", words);
  }

  pid(): number {
    return Number(readFileSync(this.path("pid"), "latin1"));
  }
}

test("QEMU behind softnet in passt's place: lease, download; a spoofed address is dropped; all ends with QEMU", {
  ...needsKernel(),
  ...labNeeds("passt", "qemu-system-x86_64", "busybox", "setpriv"),
  ...LIMIT,
}, async (t) => {
  const lab = Lab.open(t);
  await lab.services();
  const scene = new Scene(lab);
  const { code, stderr } = await scene.passt("--mtu", "1500", "-D", INTERNET);
  assert.deepEqual([code, stderr], [0, ""]);
  const softnet = scene.pid();
  assert.ok(isAlive(softnet));
  const linux = kernel();
  writeFileSync(scene.path("initramfs"), initramfs(linux, { url: URL, last: SPOOF }));
  const card = `virtio-net-pci,netdev=n0,mac=${MAC}`;
  const netdev = `stream,id=n0,server=off,addr.type=unix,addr.path=${scene.path("socket")}`;
  const system = ["-kernel", linux.image, "-initrd", scene.path("initramfs"), "-append", KERNEL_ARGUMENTS];
  const machine = ["-M", "q35,accel=tcg", "-m", "256", ...HEADLESS, ...system, "-netdev", netdev, "-device", card];
  await worked(lab.start(lab.host, "qemu-system-x86_64", machine), { isGatewayClosed: true });
  await until("softnet ends with QEMU", () => !isAlive(softnet), PATIENCE);
  const log = readFileSync(scene.path("log"), "utf8");
  assert.match(log, /message=summary .*ipv4\.source=\d/);
  assert.match(log, /message=stopped/);
  assert.deepEqual(
    ["socket", "pid"].map((name) => existsSync(scene.path(name))),
    [false, false],
  );
});

test("a policy in passt.conf is the VM's, and its mistakes are the one line that libvirt shows", {
  ...labNeeds("passt", "setpriv"),
  ...LIMIT,
}, async (t) => {
  const scene = new Scene(Lab.open(t));
  mkdirSync(scene.path(".config/softnet"), { recursive: true });
  const config = scene.path(".config/softnet/passt.conf");
  writeFileSync(config, "# for all VMs\nblock 0.0.0.0/0\nallow 300.0.0.1\n");
  const { code, stderr } = await scene.passt();
  assert.equal(code, 1);
  assert.match(stderr, /^softnet: \S+\/passt\.conf:3: [^\n]*300\.0\.0\.1[^\n]*$/);
  assert.equal(existsSync(scene.path("socket")), false);
  writeFileSync(config, "block 0.0.0.0/0\n");
  assert.equal((await scene.passt()).code, 0);
  const pid = scene.pid();
  process.kill(pid, "SIGTERM"); // as libvirt does where the VM did not start
  await until("softnet has ended", () => !isAlive(pid), PATIENCE);
  assert.equal(existsSync(scene.path("socket")), false);
});

test("the real passt's error is the caller's, and nothing is left", {
  ...labNeeds("passt", "setpriv"),
  ...LIMIT,
}, async (t) => {
  const scene = new Scene(Lab.open(t));
  const { code, stderr } = await scene.passt("--interface", "nosuch0");
  assert.equal(code, 1);
  assert.match(stderr, /^softnet: \/usr\/bin\/passt\S* ended with 1: [^\n]+$/);
  assert.deepEqual(
    ["socket", "pid"].map((name) => existsSync(scene.path(name))),
    [false, false],
  );
});
