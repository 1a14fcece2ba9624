/**
 * Rules by name with resolvers that are not in CI: `npm run test:names`. Each is the announced server, with the zone
 * example.com: an alias, a chain of aliases, a TTL of 0, and a list of addresses that needs TCP.
 */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { CURL, dropsOf, openNameScene, runNamed, startDnsmasq } from "../lab/harness/names.ts";
import { until } from "../lab/harness/program.ts";
import { DNS_SERVER, INTERNET, INTERNET_2, type Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { needs } from "../support/tools.ts";
import {
  GUEST_RESOLVERS,
  type GuestResolverName,
  POOL,
  RESOLVERS,
  type ResolverName,
  startGuestResolver,
  startResolver,
} from "./harness/resolvers.ts";
import { makeCertificate, startNginx } from "./harness/tenants.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
const LIST = "good.example.com,alias.example.com,chain.example.com,many.example.com";
const PYTHON = "/usr/bin/python3";

const start =
  (name: ResolverName) =>
  (lab: Lab): Promise<void> =>
    startResolver(lab, name);

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

  for (const name of Object.keys(GUEST_RESOLVERS) as GuestResolverName[]) {
    const { asksForTargets, tools } = GUEST_RESOLVERS[name];
    test(`N1 N7 N8 ${name} in the guest keeps its answers; ${asksForTargets ? "an alias needs its target in the list, too" : "aliases work"}`, {
      ...NEEDS,
      ...needs(...tools),
    }, async (t) => {
      let asked = (): string[] => [];
      const list = ["good.example.com", "alias.example.com"];
      const scene = await openNameScene(t, list.join(), async (lab) => {
        const names = ["good", "evil", "target"].map((host) => `--host-record=${host}.example.com,${INTERNET}`);
        const records = [...names, "--cname=alias.example.com,target.example.com", "--log-queries"];
        const server = await startDnsmasq(lab, lab.neighbour, DNS_SERVER, records);
        asked = () => server.lines.flatMap((line) => /query\[A\] (\S+)/.exec(line)?.[1] ?? []);
      });
      const { lab, guest, client } = scene;
      await startGuestResolver(guest, name);
      const run = runNamed(lab, guest, "127.0.0.1");
      const works = async (host: string): Promise<boolean> => {
        const { stdout } = await run("curl", ...CURL, `https://${host}.example.com/`);
        return stdout.startsWith(`host=${host}`);
      };
      assert.ok(await works("good"));
      assert.equal((await run("curl", ...CURL, "https://evil.example.com/")).code, 6);
      assert.ok((await dropsOf(client!))["dns.denied"]! > 0);
      const good = (): number => asked().filter((one) => one.toLowerCase() === "good.example.com").length;
      if (name === "unbound") {
        assert.ok(
          asked().some((one) => /[A-Z]/.test(one)),
          `no mixed case: ${asked()}`,
        );
        // Where the answer is in another case than the question, it asks again.
        assert.equal(good(), 1);
      }
      assert.ok(!asked().some((one) => /evil/i.test(one)));

      if (asksForTargets) {
        assert.equal((await run("curl", ...CURL, "https://alias.example.com/")).code, 6);
        await until("the target's denial is logged", () =>
          guest.softnet!.records.some(
            ({ message, name: of }) => message === "lookup denied" && of === "target.example.com",
          ),
        );
        // With a port that nobody has: it may be looked up, and its hosts stay closed.
        await client!.ask("softnet.policy.set", { allow: [], block: [], only: [...list, "target.example.com:1"] });
      }
      // Some keep for seconds that a name does not exist, though no answer says that they may (RFC 2308 5).
      await until("the alias works", () => works("alias"));
      assert.notEqual((await run("curl", ...CURL, "https://target.example.com/")).code, 0);
    });
  }
});
