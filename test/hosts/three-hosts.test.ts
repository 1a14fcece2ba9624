/**
 * "From nothing" of docs/fleet.md as it is written, on three hosts, each with a real systemd and the Debian package: a policy that is set
 * once is in force on all of them, and the records say where. Each command runs where the page says that it does.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { debianPackage } from "../../scripts/package-debian.ts";
import { ownTarget } from "../../scripts/package-targets.ts";
import { Namespace } from "../lab/harness/netns.ts";
import { type Beside, bootBeside, mayBoot } from "../lab/harness/systemd-container.ts";
import { packaged } from "../support/executable.ts";
import { LONG_LIMIT, PATIENCE, until } from "../support/patience.ts";
import { needs, needsRoot } from "../support/tools.ts";

const HOSTS = ["h1", "h2", "h3"];

/** What the page takes for granted: the package, a VM with the two lines, and names of the hosts. Then the host's commands, one by one. */
const host = (name: string, commands: readonly string[]): string => `
say() { echo "$1=$2"; }
soon() { for i in $(seq 600); do eval "$1" >/run/last 2>&1 && { echo yes; return; }; sleep 0.5; done; cat /run/last >&2; echo no; }
dpkg --purge softnet >/run/dpkg 2>&1
printf '10.79.0.1 n1\\n' >>/etc/hosts
dpkg --install /lab/softnet_*.deb >/run/dpkg 2>&1 || cat /run/dpkg
mkdir -m 1777 /run/vms
printf 'vm-mac-address 52:54:00:00:00:0${name.slice(1)}\\nvm-socket /run/vms/web.sock\\nlabel web\\ncontrol-group softnet-fleet\\n' >/etc/softnet/vms/web-${name}.conf
systemctl start softnet@web-${name}
cd /root
${commands.join("\n")}
say in-force "$(soon 'softnet ctl web-${name} get | grep "^allow registry.npmjs.org"')"
until [ -e /lab/go ]; do sleep 0.2; done
systemctl stop softnet@web-${name}
say left "$(ls /run/softnet/vms | tr '\\n' ' ')"
printf 'vm-mac-address 52:54:00:00:00:08\\nvm-socket /run/vms/next.sock\\n' >/etc/softnet/vms/next.conf
systemctl start softnet@next
say then "$(ls /run/softnet/vms | tr '\\n' ' ')"
say end yes
until [ -e /lab/end ]; do sleep 0.2; done
`;

/** The page's commands: those for the server and an operator, and those for each host, in their order. */
function commandsOf(page: string): { readonly server: string[]; readonly each: string[]; readonly operator: string[] } {
  const block = /^## From nothing\n[^`]*(?:`[^`]+`[^`]*)*?```sh\n([^`]+)```/m.exec(page)![1]!;
  const lines = block.trim().split("\n");
  assert.equal(lines.length, 10, "ten commands");
  const [install, ...others] = lines;
  assert.match(install!, /^apt-get install nats-server +# on n1/); // it is
  const isEach = (line: string): boolean => line.includes("# on each host");
  const first = others.findIndex(isEach);
  return {
    server: others.slice(0, first),
    each: others.filter(isEach),
    operator: others.slice(first).filter((line) => !isEach(line)),
  };
}

/** "Copy its lines for h2 and h3, with their names in the subjects." */
const MORE_AGENTS = String.raw`python3 - <<'END'
import re
path = "/etc/nats-server.conf"
text = open(path).read()
own = re.search(r"    # The agent of the host h1.*?\} \}\n", text, re.S).group(0)
open(path, "w").write(text.replace(own, own + "".join(own.replace("h1", name) for name in ("h2", "h3"))))
END`;

/** Without what systemctl says of what it enables. */
const said = (lines: readonly string[]): string[] => lines.filter((line) => !line.startsWith("Created symlink "));

function network(t: TestContext): readonly Namespace[] {
  const middle = new Namespace("lan");
  t.after(() => middle.delete());
  middle.ip("link", "add", "br0", "type", "bridge", "forward_delay", "0");
  middle.ip("link", "set", "br0", "up");
  return HOSTS.map((name, index) => {
    const namespace = new Namespace(name);
    t.after(() => namespace.delete());
    middle.ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", namespace.name);
    middle.ip("link", "set", name, "master", "br0", "up");
    namespace.ip("address", "add", `10.79.0.${index + 1}/24`, "dev", "eth0");
    namespace.ip("link", "set", "eth0", "up");
    return namespace;
  });
}

test("three hosts from nothing by the ten commands of docs/fleet.md, and one policy in force on all", {
  ...needsRoot(),
  ...needs("systemd-nspawn", "dpkg-deb", "nats-server", "python3"),
  ...mayBoot(),
  ...LONG_LIMIT,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-install-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = debianPackage(ownTarget(), { output: folder, folder: packaged(), scratch: folder })!;
  const { server, each, operator } = commandsOf(readFileSync(new URL("../../docs/fleet.md", import.meta.url), "utf8"));
  const namespaces = network(t);
  const own = (name: string): string[] => each.map((line) => line.replaceAll("h1", name));
  const ran = (line: string): string => `{ ${line.replace(/ +#.*/, "")}; } || say failed ${JSON.stringify(line)}`;
  const [list, set] = operator;
  const first = [
    ...server.flatMap((line) => [ran(line), ...(line.includes("/etc/nats-server.conf") ? [MORE_AGENTS] : [])]),
    "say set-up yes",
    ...own("h1").map(ran),
    `say listed "$(soon '${list} | grep -c "^h[123] *web-h[123] " | grep 3')"`,
    ran(set!),
    `say in-force-everywhere "$(soon '${list} | grep -cE "^h[123] +web-h[123] +\\S+ +group web +1 +1 " | grep 3')"`,
  ];
  const script = (name: string): string[] => (name === "h1" ? first : own(name).map(ran));
  const machines = HOSTS.map((name, index): Beside => {
    const options = { script: host(name, script(name)), copies: [path], patience: 3 * PATIENCE };
    return bootBeside(t, namespaces[index]!.name, options);
  });
  const says = async (of: Beside, line: RegExp): Promise<void> => {
    await until(`${line}: ${of.printed()}`, () => of.printed().some((each) => line.test(each)), 2 * PATIENCE);
  };
  await says(machines[0]!, /^in-force-everywhere=/);
  for (const each of machines) each.put("go", ""); // their VMs may go
  await Promise.all(machines.map((each) => says(each, /^end=/)));
  for (const each of machines) each.put("end", "");
  const lines = await Promise.all(machines.map((each) => each.lines));
  t.diagnostic(JSON.stringify(lines));
  const last = (name: string): string[] => ["in-force=yes", `left=web-${name} `, "then=next ", "end=yes"];
  assert.deepEqual(said(lines[0]!), [
    "set-up=yes",
    "listed=yes",
    "group web: revision 1",
    "in-force-everywhere=yes",
    ...last("h1"),
  ]);
  for (const index of [1, 2]) {
    assert.deepEqual(said(lines[index]!), last(HOSTS[index]!));
  }
});
