/**
 * Rules by name with resolvers that are not in CI: `npm run test:names`. Each is the announced server, with the zone
 * example.com: an alias, a chain of aliases, a TTL of 0, and a list of addresses that needs TCP.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { CURL, dropsOf, openNameScene, runNamed, startDnsmasq } from "../lab/harness/names.ts";
import { DNS_SERVER, INTERNET, INTERNET_2, type Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { needs } from "../support/tools.ts";
import { POOL, RESOLVERS, type ResolverName, startResolver } from "./harness/resolvers.ts";
import { makeCertificate, startNginx } from "./harness/tenants.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
const LIST = "good.example.com,alias.example.com,chain.example.com,many.example.com";
const PYTHON = "/usr/bin/python3";

const start =
  (name: ResolverName) =>
  async (lab: Lab): Promise<void> => {
    await startResolver(lab, name);
  };

suite("rules by name with other resolvers", () => {
  for (const name of ["unbound", "unbound with DNS64", "named", "pdns_server", "kresd"] as const) {
    test(`N1 N6 ${name}: aliases, a TTL of 0, and an answer that needs TCP work; a forbidden name is not asked for`, {
      ...NEEDS,
      ...needs(...RESOLVERS[name].tools),
    }, async (t) => {
      const { run, client } = await openNameScene(t, LIST, start(name));
      for (const host of ["good", "alias", "chain"]) {
        for (const scheme of ["https", "http"]) {
          const { stdout, stderr } = await run("curl", ...CURL, `${scheme}://${host}.example.com/`);
          assert.match(stdout, new RegExp(`host=${host}`), stderr);
        }
      }
      const script = `import socket; print(len(socket.gethostbyname_ex("many.example.com")[2]))`;
      const many = await run(PYTHON, "-c", script);
      assert.ok(Number(many.stdout) > 80, many.stdout + many.stderr);
      assert.equal((await run("curl", ...CURL, "https://evil.example.com/")).code, 6);
      assert.ok((await dropsOf(client!))["dns.denied"]! > 0);
    });
  }

  test("N5 N6 a name that has another address in each answer works with each of them, and with those of before", {
    ...NEEDS,
    ...needs(...RESOLVERS.pdns_server.tools, "nginx"),
  }, async (t) => {
    const { lab, run, client } = await openNameScene(t, "pool.example.com", start("pdns_server"));
    const folder = join(lab.directory, "pool");
    mkdirSync(folder);
    const { key, certificate } = makeCertificate(folder, ["pool.example.com"]);
    lab.internet.ipBatch(POOL.map((address) => `address add ${address}/32 dev lo`));
    const ports = [...POOL, INTERNET_2].map((one) => `    listen ${one}:80;\n    listen ${one}:443 ssl;\n`).join("");
    const files = `    ssl_certificate ${certificate};\n    ssl_certificate_key ${key};\n`;
    await startNginx(lab, folder, `  server {\n${ports}${files}    return 200 "at=$server_addr";\n  }\n`);

    const seen = new Set<string>();
    for (let again = 0; again < 12; again++) {
      const { stdout, stderr } = await run("curl", ...CURL, "https://pool.example.com/");
      const address = /^at=(.+)$/.exec(stdout)?.[1];
      assert.ok(address !== undefined, `lookup ${again}: ${stdout} ${stderr}`);
      seen.add(address);
    }
    assert.ok(seen.size > 1, "the answers do not rotate");
    const at = (address: string) =>
      run("curl", ...CURL, "--resolve", `pool.example.com:443:${address}`, "https://pool.example.com/");
    for (const address of seen) assert.equal((await at(address)).stdout, `at=${address}`, "an address of before");
    // What no answer to this VM had stays closed, though the name has it.
    const other = POOL.find((address) => !seen.has(address))!;
    assert.equal((await at(other)).code, 7);
    assert.ok((await dropsOf(client!))["name.unpinned"]! > 0);
  });

  test("N7 N8 a resolver in the guest that asks in mixed case gets its answers so, softnet's own too", {
    ...NEEDS,
    ...needs("unbound"),
  }, async (t) => {
    let asked = (): string[] => [];
    const scene = await openNameScene(t, "good.example.com,alias.example.com", async (lab) => {
      const names = ["good", "evil", "target"].map((name) => `--host-record=${name}.example.com,${INTERNET}`);
      const records = [...names, "--cname=alias.example.com,target.example.com", "--log-queries"];
      const server = await startDnsmasq(lab, lab.neighbour, DNS_SERVER, records);
      asked = () => server.lines.flatMap((line) => /query\[A\] (\S+)/.exec(line)?.[1] ?? []);
    });
    const { lab, guest, client } = scene;
    guest.namespace.ip("link", "set", "lo", "up");
    await startResolver(lab, "unbound in the guest", guest.namespace, "127.0.0.1");
    const run = runNamed(lab, guest, "127.0.0.1");
    for (const host of ["good", "alias"]) {
      const { stdout, stderr } = await run("curl", ...CURL, `https://${host}.example.com/`);
      assert.match(stdout, new RegExp(`host=${host}`), stderr);
    }
    assert.equal((await run("curl", ...CURL, "https://evil.example.com/")).code, 6);
    assert.ok((await dropsOf(client!))["dns.denied"]! > 0);
    const names = asked();
    assert.ok(
      names.some((name) => /[A-Z]/.test(name)),
      `no mixed case: ${names}`,
    );
    // Where an answer is in another case than the question, it asks three times more (RFC draft vixie-dnsext-dns0x20).
    assert.deepEqual(names.map((name) => name.toLowerCase()).toSorted(), ["alias.example.com", "good.example.com"]);
  });
});
