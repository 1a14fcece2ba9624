/**
 * The fleet's agent as the Debian package's unit, on a host with a real systemd, set up by the ten commands of docs/fleet.md with Debian's
 * nats-server and the example's rights: what it may, what it may not, and how it comes up while NATS is away.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { debianPackage } from "../../scripts/package-debian.ts";
import { ownTarget } from "../../scripts/package-targets.ts";
import { boot, mayBoot } from "../lab/harness/systemd-container.ts";
import { packaged } from "../support/executable.ts";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import { needs, needsRoot } from "../support/tools.ts";

/** Each `say NAME VALUE` is a line that the test looks at. */
const SCRIPT = `
say() { echo "$1=$2"; }
soon() { for i in $(seq 60); do eval "$1" >/run/last 2>&1 && { echo yes; return; }; sleep 0.5; done; cat /run/last >&2; journalctl -o cat --unit softnet-fleet-agent | tail -3 >&2; echo no; }
fleet() { softnet fleet "$@" --nats nats://n1:4222 --login /root/admin.login; }
blocks() { softnet ctl "$1" get | grep -q "^block $2 "; }

dpkg --purge softnet >/run/dpkg 2>&1
ip link set lo up
echo 127.0.0.1 n1 >>/etc/hosts
dpkg --install /lab/softnet_*.deb >/run/dpkg 2>&1 || cat /run/dpkg
say user "$(id -un softnet-fleet):$(id -gn softnet-fleet)"

mkdir -m 1777 /run/vms
for vm in web1 web2 other; do
  printf 'vm-mac-address 52:54:00:00:00:0%d\\nvm-socket /run/vms/%s.sock\\nlabel web\\n' $((i += 1)) $vm >/etc/softnet/vms/$vm.conf
done
for vm in web1 web2; do echo 'control-group softnet-fleet' >>/etc/softnet/vms/$vm.conf; done
echo 'require-policy' >>/etc/softnet/vms/web2.conf
systemctl start softnet@web1 softnet@other
say socket "$(stat -c '%U:%G %a' /run/softnet/vms/web1)"
say unconfigured "$(systemctl start softnet-fleet-agent 2>/run/last && echo started || echo refused)"

cd /root
while IFS= read -r line; do say "\${line%% *}" "$(soon "$line")"; done </lab/commands
echo '{"block":["192.0.2.1/32"]}' | fleet set group web --file -
say in-force "$(soon 'blocks web1 192.0.2.1/32')"
say other "$(softnet ctl other get | grep -c ^block)"
say told "$(soon 'fleet list | grep "^h1 *other.*permission denied"')"
say explain "$(fleet explain web1 out tcp 192.0.2.1 443 | sed -n 's/^fleet *\\(.* decides\\).*/\\1/p')"
echo 'OPTIONS=--nats nats://n1:4222 --host h1 --metrics unix:/run/softnet-fleet/metrics.sock' >/etc/softnet/fleet.conf
systemctl restart softnet-fleet-agent
say metrics "$(soon 'curl --silent --unix-socket /run/softnet-fleet/metrics.sock http://localhost/metrics | grep "^softnet_fleet_connected{host=.h1.} 1"')"
pid=$(systemctl show -P MainPID softnet-fleet-agent)
say runs-as "$(stat -c %U /proc/$pid), $(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/$pid/status)"
say exposure "$(systemd-analyze security --no-pager softnet-fleet-agent | sed -n 's/.*exposure level for .*: \\([0-9.]*\\).*/\\1/p')"

systemctl stop nats-server
say noticed "$(soon 'systemctl show -P StatusText softnet-fleet-agent | grep "^NATS is away"')"
systemctl restart softnet-fleet-agent
say away "$(systemctl is-active softnet-fleet-agent), $(systemctl show -P StatusText softnet-fleet-agent | sed 's/ since.*//')"
systemctl start softnet@web2
say kept "$(soon 'blocks web2 192.0.2.1/32')"
systemctl start nats-server
say back "$(soon 'systemctl show -P StatusText softnet-fleet-agent | grep ^connected')"
echo h1:wrong >/etc/softnet/fleet/login
kill -s KILL "$(systemctl show -P MainPID softnet-fleet-agent)"
say refused "$(soon 'journalctl --unit softnet-fleet-agent | grep -i "no connection to NATS.*authorization"')"
say active "$(systemctl is-active softnet-fleet-agent)"

dpkg --remove softnet >/run/dpkg 2>&1 || cat /run/dpkg
say units "$(systemctl list-units --no-legend 'softnet*' | wc -l)"
dpkg --purge softnet >/run/dpkg 2>&1
say state "$(ls /var/lib/softnet-fleet 2>/run/last | wc -l)"
`;

test("the agent's unit: unprivileged, up without NATS, kept out where no group was given, gone when removed", {
  ...needsRoot(),
  ...needs("systemd-nspawn", "dpkg-deb", "nats-server", "curl"),
  ...mayBoot(),
  ...LIMIT,
}, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-install-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = debianPackage(ownTarget(), { output: folder, folder: packaged(), scratch: folder })!;
  const page = readFileSync(new URL("../../docs/fleet.md", import.meta.url), "utf8");
  const [install, ...commands] = /^## From nothing\n[^`]*(?:`[^`]+`[^`]*)*?```sh\n([^`]+)```/m
    .exec(page)![1]!
    .trim()
    .split("\n");
  assert.match(install!, /^apt-get install nats-server/); // it is
  const lines = boot(t, {
    script: SCRIPT,
    texts: { commands: `${commands.join("\n")}\n` },
    copies: [path],
    patience: 2 * PATIENCE,
  });
  t.diagnostic(lines.join(" "));
  const exposure = lines.find((line) => line.startsWith("exposure="));
  assert.deepEqual(
    lines.filter((line) => line !== exposure),
    [
      "user=softnet-fleet:softnet-fleet",
      "socket=nobody:softnet-fleet 710",
      "unconfigured=refused",
      "install=yes",
      "install=yes",
      "(umask=yes",
      "softnet=yes",
      "echo=yes",
      "(umask=yes",
      "systemctl=yes",
      "softnet=yes",
      "echo=yes",
      "group web: revision 2",
      "in-force=yes",
      "other=0",
      "told=yes",
      "explain=group web decides",
      "metrics=yes",
      "runs-as=softnet-fleet, 0000000000000000",
      "noticed=yes",
      "away=active, NATS is away",
      "kept=yes",
      "back=yes",
      "refused=yes",
      "active=active",
      "units=0",
      "state=0",
    ],
    lines.join("\n"),
  );
  assert.ok(Number(exposure?.slice("exposure=".length)) < 2, String(exposure));
});
