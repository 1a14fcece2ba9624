/**
 * The Debian package on a host with a real systemd: installed, its instances started, reloaded, killed and started fifty at
 * once, the package upgraded under running VMs, and removed.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { debianPackage } from "../../scripts/package-debian.ts";
import { ownTarget } from "../../scripts/package-targets.ts";
import { boot, mayBoot } from "../lab/harness/systemd-container.ts";
import { packaged } from "../support/executable.ts";
import { LONG_LIMIT, PATIENCE } from "../support/patience.ts";
import { needs, needsRoot, needsTun } from "../support/tools.ts";

const MANY = 50;

/** GET /metrics, as a Prometheus asks; the first argument is the path of a unix socket. */
const GET = `import http.client, socket, sys
connection = http.client.HTTPConnection("127.0.0.1", 9965, timeout=60)
if len(sys.argv) > 1:
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(sys.argv[1])
connection.request("GET", "/metrics")
sys.stdout.write(connection.getresponse().read().decode())
`;

/**
 * A bridge with dnsmasq, and a guest at vnet0. Each `say NAME VALUE` is a line that the test looks at. Replies that the
 * guest gets say how long it was closed: at most 100 echo requests a second pass.
 */
const SCRIPT = `
say() { echo "$1=$2"; }
main() { systemctl show -P MainPID "softnet@$1"; }
echoes() { ip netns exec guest ping -D -i 0.012 -c "$1" 10.77.0.1 >/run/echoes & echoing=$!; }
gap() {
  sed -n 's/^\\[\\([0-9.]*\\)\\].*time=.*/\\1/p' /run/echoes |
    awk 'NR > 1 && $1 - last > most { most = $1 - last } { last = $1 } END { printf "%d\\n", most * 1000 }'
}
reaches() { ip netns exec guest ping -c 1 -W 1 10.77.0.1 >/run/ping 2>&1 && echo yes || echo no; }
online() { for i in $(seq 60); do [ "$(reaches)" = "$1" ] && break; sleep 0.5; done; reaches; }
install() { dpkg --install "/lab/softnet_$1-1_$(dpkg --print-architecture).deb" >/run/dpkg 2>&1 || cat /run/dpkg; }

dpkg --purge softnet >/run/dpkg 2>&1
files=$(find /usr /etc /var/lib/systemd -xdev | grep softnet | sort)
ip link set lo up
ip link add br0 type bridge forward_delay 0
ip link set br0 address 02:00:00:00:77:01 up
ip address add 10.77.0.1/24 dev br0
dnsmasq --conf-file=/dev/null --interface=br0 --bind-interfaces --dhcp-range=10.77.0.100,10.77.0.150,600 --port=0 \\
  --dhcp-leasefile=/run/leases --pid-file=/run/dnsmasq.pid --user=root
ip netns add guest
ip link add vnet0 type veth peer name eth0 netns guest
ip -n guest link set eth0 address 52:54:00:00:00:01 up
ip link set vnet0 master br0 up
printf '#!/bin/sh\\n[ "$1" = bound ] && ip address add $ip/24 dev eth0\\nexit 0\\n' >/run/udhcpc
chmod +x /run/udhcpc

install 1.0.0
printf 'vm-mac-address 52:54:00:00:00:01\\nattach vnet0\\npolicy /etc/softnet/web1.policy\\n' >/etc/softnet/vms/web1.conf
echo 'block 203.0.113.0/24' >/etc/softnet/web1.policy
say check "$(softnet check-config web1)"
systemctl start softnet@web1
say started "$(systemctl is-active softnet@web1)"
ip netns exec guest udhcpc -i eth0 -s /run/udhcpc -n -q >/run/dhcp 2>&1
say online "$(online yes)"

mkdir -m 1777 /run/vms
printf 'vm-mac-address 52:54:00:00:00:02\\nvm-socket /run/vms/web2.sock\\n' >/etc/softnet/vms/web2.conf
systemctl start softnet@web2
second=$(main web2)

first=$(main web1)
echoes 1200
install 2.0.0
wait $echoing
say upgrade "$(gap)"
[ "$first" = "$(main web1)" ] && say upgraded kept
for i in 1 2 3 4 5; do
  echoes 500
  sleep 1
  systemctl restart softnet@web1
  wait $echoing
  say restart "$(gap)"
done
say restored "$(journalctl --unit softnet@web1 | grep -c 'binding restored')"
echo 'block 10.77.0.1/32' >/etc/softnet/web1.policy
systemctl reload softnet@web1
say blocked "$(online no)"
: >/etc/softnet/web1.policy
systemctl reload softnet@web1
say open "$(online yes)"

first=$(main web1)
kill -s KILL "$first"
for i in $(seq 60); do [ "$(systemctl is-active softnet@web1)" = active ] && break; sleep 0.5; done
say crashed "$(online yes)"
[ "$first" = "$(main web1)" ] || say came-back yes
[ "$second" = "$(main web2)" ] && say other undisturbed

for i in $(seq ${MANY}); do
  printf 'vm-mac-address 52:54:00:00:01:%02x\\nvm-tap svm%d\\n' $i $i >/etc/softnet/vms/many$i.conf
done
began=$(date +%s%3N)
systemctl start $(seq -f 'softnet@many%g' ${MANY})
say many-ms "$(($(date +%s%3N) - began))"
say many "$(systemctl list-units --no-legend --state=active 'softnet@many*' | wc -l)"
systemctl start softnet-metrics
say metrics "$(systemctl show -P StatusText softnet-metrics)"
say listener "$(ps -o user= -p "$(systemctl show -P MainPID softnet-metrics)")"
say asked "$(python3 /lab/get.py | sed -n 's/^softnet_up{vm="web1"} /web1 up /p')"
say seen "$(python3 /lab/get.py | grep -c '^softnet_up{.*} 1$')"
say metrics-log "$(journalctl --unit softnet-metrics -p warning --output=cat | sort -u)"
systemctl kill --signal=KILL softnet-metrics
for i in $(seq 60); do [ "$(systemctl show -P NRestarts softnet-metrics)" = 1 ] && break; sleep 0.5; done
for i in $(seq 60); do [ "$(systemctl is-active softnet-metrics)" = active ] && break; sleep 0.5; done
say metrics-again "$(python3 /lab/get.py | grep -c '^softnet_up{vm="web1"} 1$')"
mkdir -p /run/systemd/system/softnet-metrics.service.d
printf '[Service]\nEnvironment=LISTEN=unix:/run/softnet-metrics/socket\n' >/run/systemd/system/softnet-metrics.service.d/listen.conf
systemctl daemon-reload
systemctl restart softnet-metrics
say metrics-socket "$(python3 /lab/get.py /run/softnet-metrics/socket | grep -c '^softnet_up{vm="web1"} 1$')"
say metrics-exposure "$(systemd-analyze security --no-pager softnet-metrics | sed -n 's/.*exposure level for .*: \\([0-9.]*\\).*/\\1/p')"
say exposure "$(systemd-analyze security --no-pager softnet@web1 | sed -n 's/.*exposure level for .*: \\([0-9.]*\\).*/\\1/p')"

dpkg --remove softnet >/run/dpkg 2>&1 || cat /run/dpkg
for i in $(seq 60); do pgrep softnet >/run/pgrep || break; sleep 0.5; done
say processes "$(pgrep --count softnet)"
say units "$(systemctl list-units --no-legend 'softnet*' | wc -l)"
say tables "$(nft list tables | grep -c softnet)"
say interfaces "$(ip -brief link | grep -cE '^(softnet|svm)')"
rm -r /etc/softnet
dpkg --purge softnet >/run/dpkg 2>&1
[ "$files" = "$(find /usr /etc /var/lib/systemd -xdev | grep softnet | sort)" ] && say files none
`;

test("installed, started, upgraded, reloaded, killed, fifty at once, removed", {
  ...needsRoot(),
  ...needsTun(),
  ...needs("systemd-nspawn", "dpkg-deb", "dnsmasq", "udhcpc", "ping", "nft", "python3"),
  ...mayBoot(),
  ...LONG_LIMIT,
}, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-install-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const make = (version: string): string =>
    debianPackage(ownTarget(), { output: folder, folder: packaged(), scratch: folder, version, isPlain: true })!;
  const lines = boot(t, {
    script: SCRIPT,
    texts: { "get.py": GET },
    copies: [make("1.0.0"), make("2.0.0")],
    patience: 2 * PATIENCE,
  });
  t.diagnostic(lines.join(" "));
  const valuesOf = (name: string): string[] =>
    lines.filter((line) => line.startsWith(`${name}=`)).map((line) => line.slice(name.length + 1));
  assert.deepEqual(
    lines.filter((line) => !/^(upgrade|restart|many-ms|exposure|metrics-exposure)=[\d.]+$/.test(line)),
    [
      "check=/etc/softnet/vms/web1.conf: OK",
      "started=active",
      "online=yes",
      "upgraded=kept",
      "restored=5",
      "blocked=no",
      "open=yes",
      "crashed=yes",
      "came-back=yes",
      "other=undisturbed",
      `many=${MANY}`,
      "metrics=GET /metrics at 127.0.0.1:9965",
      "listener=nobody",
      "asked=web1 up 1",
      `seen=${MANY + 2}`,
      "metrics-log=",
      "metrics-again=1",
      "metrics-socket=1",
      "processes=0",
      "units=0",
      "tables=0",
      "interfaces=0",
      "files=none",
    ],
    lines.join("\n"),
  );
  assert.equal(valuesOf("restart").length, 5);
  assert.ok(Number(valuesOf("exposure")[0]) < 5, "systemd-analyze security");
  assert.ok(Number(valuesOf("metrics-exposure")[0]) < 2, "systemd-analyze security");
});
