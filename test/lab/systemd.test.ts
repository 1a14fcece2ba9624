/**
 * softnet under a real systemd, in a container of its own (systemd-nspawn) over this machine's files: nothing that happens
 * in it stays. A unit of Type=notify is up when softnet forwards, is reloaded, and is down when it has ended.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAIN } from "../support/cli.ts";
import { LIMIT } from "../support/patience.ts";
import { needs, needsRoot } from "../support/tools.ts";
import { boot, mayBoot } from "./harness/systemd-container.ts";

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

const SCRIPT = `mkdir /run/vms; chmod 777 /run/vms
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
echo "pgrep: $(pgrep --count --exact softnet)"`;

test("systemd waits until softnet is ready, reloads it and stops it; pgrep finds it", {
  ...needsRoot(),
  ...needs("systemd-nspawn", "python3"),
  ...mayBoot(),
  ...LIMIT,
}, (t) => {
  assert.deepEqual(boot(t, { script: SCRIPT, texts: { "softnet.service": UNIT, "network.py": NETWORK } }), [
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
