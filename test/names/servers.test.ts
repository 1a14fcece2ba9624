/**
 * Rules by name with servers that have many names on one address: `npm run test:names`. nginx chooses the tenant by the request's
 * host, haproxy by the hello. The VM has looked the allowed name up, so the address is open; only the name in the first bytes
 * tells one tenant from another.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { lease } from "../lab/harness/clients.ts";
import { CURL, dropsOf, openNameScene, runNamed } from "../lab/harness/names.ts";
import { until } from "../lab/harness/program.ts";
import { INTERNET_2, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { needs } from "../support/tools.ts";
import { ALLOWED, FORBIDDEN, GUARDED, resolveTenants, TENANT_SERVERS, type TenantServer } from "./harness/tenants.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
const REUSE = fileURLToPath(new URL("tools/reuse.ts", import.meta.url));
/** curl's exit codes where a connection is reset, in the hello or later. */
const RESET = [35, 56];

/** A tenant asked for at the address that is known already. */
const at = (name: string, scheme: string, ...more: readonly string[]): string[] => [
  ...["curl", ...CURL, ...more, "--resolve", `${name}:${scheme === "http" ? 80 : 443}:${INTERNET_2}`],
  `${scheme}://${name}/`,
];

suite("rules by name with many names on one address", () => {
  for (const server of ["nginx", "haproxy"] as const satisfies readonly TenantServer[]) {
    test(`N3 ${server}: an allowed tenant passes, another one is broken off, before and after a connection that passed`, {
      ...NEEDS,
      ...needs(server),
    }, async (t) => {
      const { lab, guest, run, client } = await openNameScene(t, ALLOWED, resolveTenants);
      await TENANT_SERVERS[server](lab);
      const bare = await lab.guest({ bare: true });
      await lease(bare);
      const runBare = runNamed(lab, bare);

      assert.equal((await run("curl", ...CURL, `https://${FORBIDDEN}/`)).code, 6, "a forbidden name is looked up");
      for (const [scheme, ...more] of [["http"], ["https", "--http1.1"], ["https", "--http2"]] as const) {
        const { stdout, stderr } = await run("curl", ...CURL, ...more, `${scheme}://${ALLOWED}/`);
        const hello = scheme === "http" ? "" : ALLOWED;
        assert.equal(stdout.trim(), `tenant=${ALLOWED} hello=${hello}`, stderr);

        const [command, ...args] = at(FORBIDDEN, scheme, ...more);
        const open = await runBare(command!, ...args);
        assert.match(open.stdout, new RegExp(`^tenant=${FORBIDDEN} `), `without softnet: ${open.stderr}`);
        const before = (await dropsOf(client!))["name.denied"] ?? 0;
        const denied = await run(command!, ...args);
        assert.ok(RESET.includes(denied.code!), `${scheme} ${more}: ${denied.code} ${denied.stdout} ${denied.stderr}`);
        assert.equal(denied.stdout, "");
        assert.ok((await dropsOf(client!))["name.denied"]! > before);
      }
      await until("the denial is logged with its name", () =>
        guest.softnet!.records.some(
          ({ message, name, reason }) =>
            message === "connection denied" && name === FORBIDDEN && reason === "name.denied",
        ),
      );

      const steps = await run(process.execPath, REUSE, ALLOWED, INTERNET_2, FORBIDDEN, GUARDED);
      // Inside TLS nobody can look: where the server chooses by the request, the kept connection reaches its other tenants.
      const inside = server === "nginx" ? FORBIDDEN : ALLOWED;
      assert.deepEqual(
        steps.stdout.split("\n"),
        [
          `allowed: tenant=${ALLOWED} hello=${ALLOWED}`,
          `new ${FORBIDDEN}: ECONNRESET`,
          `kept ${FORBIDDEN}: tenant=${inside} hello=${ALLOWED}`,
          `new ${GUARDED}: ECONNRESET`,
          `kept ${GUARDED}: ${server === "nginx" ? "421" : `tenant=${ALLOWED} hello=${ALLOWED}`}`,
          `again: tenant=${ALLOWED} hello=${ALLOWED}`,
        ],
        steps.stderr,
      );
    });
  }
});
