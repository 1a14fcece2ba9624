/**
 * Rules by name with resolvers that are not in CI: `npm run test:names`. Each is the announced server, with the zone
 * example.com: an alias, a TTL of 0, and a list of addresses that needs TCP.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { CURL, dropsOf, openNameScene } from "../lab/harness/names.ts";
import { until } from "../lab/harness/program.ts";
import { DNS_SERVER, INTERNET, type Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { needs, type Tool } from "../support/tools.ts";

const MANY = Array.from({ length: 90 }, (_, index) => `93.184.216.${index + 1}`);
const ZONE = [
  "$TTL 300",
  "$ORIGIN example.com.",
  "@ IN SOA ns hostmaster 1 3600 600 86400 300",
  "@ IN NS ns",
  `ns IN A ${DNS_SERVER}`,
  `good 0 IN A ${INTERNET}`,
  `evil IN A ${INTERNET}`,
  "alias IN CNAME target",
  `target IN A ${INTERNET}`,
  `many IN A ${INTERNET}`,
  ...MANY.map((address) => `many IN A ${address}`),
  "",
].join("\n");

type Commands = Record<string, (folder: string) => readonly string[]>;

/** Each in the foreground, with its files in a folder; without rights of its own. */
const RESOLVERS: Commands = {
  unbound(folder) {
    const zone = join(folder, "zone");
    writeFileSync(
      join(folder, "conf"),
      `server:\n do-daemonize: no\n username: ""\n chroot: ""\n directory: "${folder}"\n pidfile: ""\n use-syslog: no\n` +
        ` interface: ${DNS_SERVER}\n access-control: 0.0.0.0/0 allow\n module-config: "iterator"\n use-caps-for-id: yes\n` +
        `remote-control:\n control-enable: no\n` +
        `auth-zone:\n name: "example.com"\n zonefile: "${zone}"\n for-downstream: yes\n for-upstream: no\n`,
    );
    return ["unbound", "-d", "-p", "-c", join(folder, "conf")];
  },
  named(folder) {
    writeFileSync(
      join(folder, "conf"),
      `options { directory "${folder}"; pid-file none; listen-on { ${DNS_SERVER}; }; listen-on-v6 { none; };\n` +
        ` session-keyfile none; recursion no; dnssec-validation no; };\ncontrols { };\n` +
        `zone "example.com" { type primary; file "${join(folder, "zone")}"; };\n`,
    );
    return ["named", "-g", "-c", join(folder, "conf")];
  },
};

async function start(lab: Lab, name: string): Promise<void> {
  const folder = join(lab.directory, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "zone"), ZONE);
  const [command, ...args] = RESOLVERS[name]!(folder);
  const server = lab.start(lab.neighbour, command!, args);
  await until(`${name} listens`, async () => {
    assert.equal(server.exit, undefined, server.text());
    return (await lab.neighbour.run("ss", ["-lnu"])).stdout.includes(`${DNS_SERVER}:53`);
  });
}

suite("rules by name with other resolvers", () => {
  for (const name of Object.keys(RESOLVERS)) {
    test(`N1 ${name}: aliases, a TTL of 0, and an answer that needs TCP work; a forbidden name is not asked for`, {
      ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"),
      ...needs(name as Tool),
      ...LIMIT,
    }, async (t) => {
      const list = "good.example.com,alias.example.com,many.example.com";
      const { run, client } = await openNameScene(t, list, (lab) => start(lab, name));
      for (const host of ["good", "alias"]) {
        for (const scheme of ["https", "http"]) {
          const { stdout, stderr } = await run("curl", ...CURL, `${scheme}://${host}.example.com/`);
          assert.match(stdout, new RegExp(`host=${host}`), stderr);
        }
      }
      const script = `import socket; print(len(socket.gethostbyname_ex("many.example.com")[2]))`;
      const many = await run("/usr/bin/python3", "-c", script);
      assert.ok(Number(many.stdout) > 80, many.stdout + many.stderr);
      assert.equal((await run("curl", ...CURL, "https://evil.example.com/")).code, 6);
      assert.ok((await dropsOf(client!))["dns.denied"]! > 0);
    });
  }
});
