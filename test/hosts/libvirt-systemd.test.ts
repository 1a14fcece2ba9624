/**
 * The hook on a host with a real systemd and the real libvirt: each card's softnet is an instance of softnet@.service, which
 * systemd starts again, and which ends with the domain.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { boot, mayBoot } from "../lab/harness/systemd-container.ts";
import { executable } from "../support/executable.ts";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import { needs, needsRoot, needsTun, pathOf } from "../support/tools.ts";
import { asks, CARD, MAC, QEMU_CONF } from "./harness/libvirt.ts";

const UNIT = fileURLToPath(new URL("../../packaging/systemd/softnet@.service", import.meta.url));
const SECOND = "52:54:00:00:00:02";

/** It never runs a single instruction: libvirt leaves its CPUs stopped. */
const domain = (name: string, options = "<softnet:block>@private</softnet:block>"): string => `<domain type="qemu">
  <name>${name}</name>
  ${asks(options)}
  <memory unit="MiB">64</memory>
  <os><type arch="x86_64" machine="q35">hvm</type></os>
  <devices>
    <emulator>${pathOf("qemu-system-x86_64")}</emulator>
    ${CARD}
    ${CARD.replace(MAC, SECOND)}
    <memballoon model="none"/>
  </devices>
</domain>`;

/** libvirtd sees no control groups: a container has too few of them for libvirt. */
const NO_CGROUPS = `[Service]
ExecStart=
ExecStart=/usr/bin/unshare --mount --propagation slave /bin/sh -c "umount --lazy /sys/fs/cgroup; exec /usr/sbin/libvirtd"
`;

/** Each `say NAME VALUE` is a line that the test looks at. */
const SCRIPT = `
say() { echo "$1=$2"; }
virsh() { /usr/bin/virsh -q -c qemu:///system "$@"; }
main() { systemctl show -P MainPID "softnet@$1"; }
states() { softnet list | awk '/vnet/ { print $1, $3 }' | sort | paste -sd, -; }
await() { for i in $(seq 120); do eval "$1" && break; sleep 0.5; done; }

ip link set lo up
ip link add br0 type bridge forward_delay 0
ip link set br0 up
cp /lab/softnet /usr/bin/softnet
cp /lab/softnet@.service /etc/systemd/system/
mkdir -p /etc/libvirt/hooks/qemu.d
printf '#!/bin/sh\\nexec softnet libvirt-hook "$@"\\n' >/etc/libvirt/hooks/qemu.d/softnet
chmod 755 /etc/libvirt/hooks/qemu.d/softnet
cp /lab/qemu.conf /etc/libvirt/qemu.conf
mkdir -p /run/systemd/system/libvirtd.service.d
cp /lab/cgroups.conf /run/systemd/system/libvirtd.service.d/
systemctl daemon-reload
systemctl start libvirtd
await 'virsh list >/run/virsh 2>&1'

(
virsh create --paused /lab/vm1.xml >/run/virsh 2>&1 || { cat /run/virsh; exit 1; }
say states "$(states)"
say units "$(systemctl is-active softnet@vm1:0 softnet@vm1:1 | paste -sd, -)"
say log "$(journalctl --output=cat --unit softnet@vm1:0 | grep -c 'message=started')"
first=$(main vm1:0)
second=$(main vm1:1)
kill -s KILL "$first"
await '[ "$(main vm1:0)" != "$first" ] && [ "$(systemctl is-active softnet@vm1:0)" = active ]'
say killed "$(states)"
[ "$second" = "$(main vm1:1)" ] && say other undisturbed
first=$(main vm1:0)
systemctl restart libvirtd
await 'virsh domstate vm1 >/run/virsh 2>&1'
[ "$first,$second" = "$(main vm1:0),$(main vm1:1)" ] && say libvirtd restarted
# libvirt 9 says that the domain is not found where it sees QEMU's end while destroy waits for it.
virsh destroy vm1 >/run/virsh 2>&1 || grep -q 'Domain not found' /run/virsh || cat /run/virsh
say ended "$(systemctl list-units --all --no-legend 'softnet@*' | wc -l)"
say files "$(ls /run/softnet/libvirt | wc -l)"

virsh create --paused /lab/other.xml >/run/virsh 2>&1 || cat /run/virsh
say other-unit "$(systemctl is-active softnet@my:20vm:0)"
virsh destroy 'my vm' >/run/virsh 2>&1 || grep -q 'Domain not found' /run/virsh || cat /run/virsh

virsh create --paused /lab/same.xml >/run/virsh 2>&1 && say refused no
say why "$(grep -o '10.77.0.5: .* address' /run/virsh)"
say left "$(systemctl list-units --all --no-legend 'softnet@*' | wc -l) $(ls /run/softnet/libvirt | wc -l) $(virsh list --all --name | grep -c .)"
say processes "$(pgrep --count softnet)"
)
`;

test("the hook's softnets are systemd's: started again when killed, ended with the domain, and an error is virsh's", {
  ...needsRoot(),
  ...needsTun(),
  ...needs("systemd-nspawn", "libvirtd", "virsh", "qemu-system-x86_64", "nft"),
  ...mayBoot(),
  ...LIMIT,
}, (t) => {
  // Only the second card's softnet finds out.
  const same = "<softnet:vm-ip-address>10.77.0.5</softnet:vm-ip-address><softnet:gateway>10.77.0.1</softnet:gateway>";
  const texts = {
    "same.xml": domain("same", same),
    "vm1.xml": domain("vm1"),
    "other.xml": domain("my vm"),
    "qemu.conf": QEMU_CONF,
    "cgroups.conf": NO_CGROUPS,
  };
  const lines = boot(t, { script: SCRIPT, texts, copies: [executable(), UNIT], patience: 2 * PATIENCE });
  assert.deepEqual(lines, [
    "states=vm1 live,vm1-2 live",
    "units=active,active",
    "log=1",
    "killed=vm1 live,vm1-2 live",
    "other=undisturbed",
    "libvirtd=restarted",
    "ended=0",
    "files=0",
    "other-unit=active",
    "why=10.77.0.5: another softnet's VM has this address",
    "left=0 0 0",
    "processes=0",
  ]);
});
