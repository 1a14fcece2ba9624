/**
 * What docs/firewalls.md says lasts, over a reboot: a machine with systemd (systemd-nspawn over this one's files, in
 * memory) is told what the page tells, shut down, and started again. What then is loaded is in firewalls.test.ts.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { machine, mayBoot } from "../lab/harness/systemd-container.ts";
import { LIMIT } from "../support/patience.ts";
import { needs, needsRoot, type Skip, type Tool } from "../support/tools.ts";

const PAGE = readFileSync(new URL("../../docs/firewalls.md", import.meta.url), "utf8");
const BOOT = LIMIT.timeout / 3;

/** A section of the page. */
function section(title: string): string {
  const text = PAGE.split("\n## ").find((part) => part.startsWith(`${title}\n`));
  assert.ok(text, `no section ${title}`);
  return text;
}

/** The first block of a section that is set apart. */
function block(title: string): string {
  const [, text] = /```\n([\s\S]*?)```/.exec(section(title)) ?? [];
  assert.ok(text, `nothing set apart in ${title}`);
  return text;
}

/** A command of a section's table. */
function command(title: string, row: string): string {
  const [, text] = new RegExp(`^\\| ${row} \\| \`([^\`]*)\``, "m").exec(section(title)) ?? [];
  assert.ok(text, `no ${row} in ${title}`);
  return text;
}

/** Starts the same machine with a script, up to its shutting down, and returns what the script printed but for errors. */
function reboots(t: TestContext): (script: string) => string[] {
  const boot = machine(t);
  return (script) => {
    const lines = boot({ script: `exec 2>/lab/errors\n${script}\nsed 's/^/${ERROR}/' /lab/errors`, patience: BOOT });
    const errors = lines.filter((line) => line.startsWith(ERROR));
    t.diagnostic(errors.join("\n").slice(-2000));
    return lines.filter((line) => !line.startsWith(ERROR));
  };
}

const ERROR = "error: ";

function needsSystemd(...tools: readonly Tool[]): Skip {
  return { ...needsRoot(), ...mayBoot(), ...needs("systemd-nspawn", ...tools) };
}

test("ufw keeps its routes", { ...needsSystemd("ufw", "iptables"), ...LIMIT }, (t) => {
  const start = reboots(t);
  const routes = [command("ufw", "command"), command("ufw", "for `--expose`, too")];
  start(`ufw --force enable\n${routes.join("\n")}`);
  assert.deepEqual(start("systemctl start ufw.service\niptables -S ufw-user-forward | grep softnet"), [
    "-A ufw-user-forward -i softnet+ -j ACCEPT",
    "-A ufw-user-forward -o softnet+ -j ACCEPT",
  ]);
});

test("firewalld keeps zone and policy", { ...needsSystemd("firewall-cmd", "dbus-daemon"), ...LIMIT }, (t) => {
  const start = reboots(t);
  start(`systemctl start firewalld.service\n${block("firewalld")}`);

  const zone = "firewall-cmd --get-zone-of-interface=softnet+";
  const permanent = "firewall-cmd --permanent --policy=softnet-out --get-target";
  assert.deepEqual(start(["systemctl start firewalld.service", zone, permanent].join("\n")), ["softnet", "ACCEPT"]);
});

test("Docker's start brings its user's rules, once", { ...needsSystemd("dockerd", "iptables"), ...LIMIT }, (t) => {
  const start = reboots(t);
  start(`mkdir /etc/systemd/system/docker.service.d
cat > /etc/systemd/system/docker.service.d/override.conf <<'END'\n${block("Docker")}END`);
  const list = "iptables -S DOCKER-USER";
  const rules = [
    "-N DOCKER-USER",
    "-A DOCKER-USER -o softnet+ -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A DOCKER-USER -i softnet+ -j ACCEPT",
    "-A DOCKER-USER -j RETURN",
  ];
  const restart = `mkdir -p /var/lib/docker && mount -t tmpfs tmpfs /var/lib/docker
systemctl mask --runtime systemd-networkd-wait-online.service
systemctl start docker.service
systemctl restart docker.service`;
  assert.deepEqual(start(`${restart}\n${list}`), rules);
});

test("nftables.service loads the lines of its file", { ...needsSystemd("nft"), ...LIMIT }, (t) => {
  const start = reboots(t);
  const line = command("nftables.service", "lasts");
  start(`cat > /etc/nftables.conf <<'END'
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ${line}
  }
}
END`);
  const [found] = start("systemctl start nftables.service\nnft list chain inet filter forward | grep softnet");
  assert.equal(found?.trim(), 'iifname "softnet*" accept');
});
