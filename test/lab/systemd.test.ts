/**
 * softnet under a real systemd, in a container of its own (systemd-nspawn) over this machine's files: nothing that happens
 * in it stays. A unit of Type=notify is up when softnet forwards, is reloaded, and is down when it has ended.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MAIN } from "../support/cli.ts";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import { needs, needsRoot, type Skip } from "../support/tools.ts";

/** systemd in a container needs the kernel's groups of processes and an overlay. */
function mayBoot(): Skip {
  const cgroups = spawnSync("findmnt", ["--noheadings", "--types", "cgroup,cgroup2"]).status === 0;
  const overlay = readFileSync("/proc/filesystems", "utf8").includes("\toverlay\n");
  return cgroups && overlay ? {} : { skip: "needs cgroups and overlayfs" };
}

const UNIT = `[Unit]
DefaultDependencies=no
[Service]
Type=notify
ExecStart=${process.execPath} ${MAIN} --vm-socket /run/vms/vm.sock --host-socket /run/vms/host.sock --vm-mac-address 02:00:00:00:00:01
ExecReload=/bin/kill -HUP $MAINPID
`;

const NETWORK = `import os, socket
listening = socket.socket(socket.AF_UNIX)
listening.bind("/run/vms/host.sock")
os.chmod("/run/vms/host.sock", 0o777)
listening.listen()
os.close(0)
kept = []
while True: kept.append(listening.accept())
`;

const SCRIPT = `#!/bin/sh
exec >/lab/out 2>&1
mkdir /run/vms; chmod 777 /run/vms
/usr/bin/python3 /lab/network.py &
while [ ! -S /run/vms/host.sock ]; do sleep 0.1; done
cp /lab/softnet.service /run/systemd/system/
systemctl daemon-reload
systemctl start softnet.service
[ -S /run/vms/vm.sock ] && echo "the socket is there"
systemctl show softnet.service --property ActiveState
systemctl show softnet.service --property StatusText
echo "pgrep: $(pgrep --count --exact softnet)"
systemctl reload softnet.service; sleep 1
systemctl show softnet.service --property ActiveState
systemctl show softnet.service --property SubState
systemctl stop softnet.service
systemctl show softnet.service --property ActiveState
systemctl show softnet.service --property Result
[ -S /run/vms/vm.sock ] || echo "the socket is gone"
echo "pgrep: $(pgrep --count --exact softnet)"
systemctl poweroff --force --force
`;

const PROBE = `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /lab/script
`;

/** Boots it on an overlay of this machine's root; answers what the script printed. */
function boot(t: TestContext): string[] {
  const place = mkdtempSync(join(tmpdir(), "softnet-systemd-"));
  chmodSync(place, 0o755);
  execFileSync("mount", ["-t", "tmpfs", "none", place]);
  t.after(() => {
    spawnSync("umount", [join(place, "root")]);
    spawnSync("umount", [place]);
    rmSync(place, { recursive: true, force: true });
  });
  const [root, lab] = [join(place, "root"), join(place, "lab")];
  for (const name of ["upper", "work", "root", "lab"]) mkdirSync(join(place, name));
  const layers = `lowerdir=/,upperdir=${join(place, "upper")},workdir=${join(place, "work")}`;
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", layers, root]);
  writeFileSync(join(lab, "softnet.service"), UNIT);
  writeFileSync(join(lab, "network.py"), NETWORK);
  writeFileSync(join(lab, "script"), SCRIPT);
  writeFileSync(join(root, "etc/systemd/system/probe.service"), PROBE);
  rmSync(join(root, "etc/machine-id"), { force: true });
  const options = ["--quiet", "-D", root, `--machine=softnet-${process.pid}`, "--register=no", "--keep-unit"];
  options.push(`--bind=${lab}:/lab`, "--private-network", "--boot", "systemd.unit=probe.service");
  spawnSync("systemd-nspawn", options, { stdio: "ignore", timeout: PATIENCE, killSignal: "SIGKILL" });
  const lines = readFileSync(join(lab, "out"), "utf8").trim().split("\n");
  return lines.filter((line) => line !== "Powering off.");
}

test("systemd waits until softnet is ready, reloads it and stops it; pgrep finds it", {
  ...needsRoot(),
  ...needs("systemd-nspawn", "python3"),
  ...mayBoot(),
  ...LIMIT,
}, (t) => {
  assert.deepEqual(boot(t), [
    "the socket is there",
    "ActiveState=active",
    "StatusText=waits for the VM at /run/vms/vm.sock, on --host-socket /run/vms/host.sock",
    "pgrep: 1",
    "ActiveState=active",
    "SubState=running",
    "ActiveState=inactive",
    "Result=success",
    "the socket is gone",
    "pgrep: 0",
  ]);
});
