/**
 * Rules by name in a network with IPv6 alone behind it: unbound makes AAAA records of A records (DNS64, RFC 6147), and what a NAT64
 * would reach by such an address is there: `npm run test:names`.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ControlPath } from "../lab/harness/control.ts";
import { online, openLab6, PREFIX, radvd } from "../lab/harness/ipv6.ts";
import { CURL, dropsOf, runNamed } from "../lab/harness/names.ts";
import { INTERNET, labNeeds, NEIGHBOUR, tool } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { needs } from "../support/tools.ts";
import { startResolver } from "./harness/resolvers.ts";
import { makeCertificate } from "./harness/tenants.ts";

/** RFC 6052 2.1. */
const WELL_KNOWN = "64:ff9b::";
const embed = (address: string): string => {
  const [a, b, c, d] = address.split(".").map(Number) as [number, number, number, number];
  return `${WELL_KNOWN}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
};
const CURL6 = [...CURL.filter((word) => word !== "-4"), "-6"];

suite("rules by name with DNS64", () => {
  test("N2 N3 an address that embeds an allowed name's address works; a private one in it does not, nor another name's", {
    ...labNeeds("curl", "openssl", "radvd"),
    ...needs("unbound"),
    ...LIMIT,
  }, async (t) => {
    const lab = openLab6(t);
    const [far, private6] = [embed(INTERNET), embed(NEIGHBOUR)];
    lab.internet.ipBatch([`address add ${far}/128 dev lo nodad`, `address add ${private6}/128 dev lo nodad`]);
    lab.host.ip("-6", "route", "add", `${WELL_KNOWN}/96`, "via", "2001:db8:1::2");
    const { key, certificate } = makeCertificate(lab.directory, ["good.example.com"]);
    for (const address of [far, private6]) {
      await lab
        .start(lab.internet, process.execPath, [tool("named-web.ts"), address, key, certificate])
        .line(/^ready$/);
    }
    const server = `${PREFIX}1`;
    await startResolver(lab, "unbound with DNS64", lab.host, server);
    await radvd(lab);

    const control = new ControlPath(lab);
    const list = ["--ipv6", "--only", "good.example.com,chain.example.com,private.example.com"];
    const guests = [
      await lab.guest({ bare: true }),
      await lab.guest({ bare: false, args: [...control.options, ...list] }),
    ] as const;
    const client = await control.client();
    t.after(() => client.close());
    const [bare, run] = guests.map((guest) => runNamed(lab, guest, server)) as [
      ReturnType<typeof runNamed>,
      ReturnType<typeof runNamed>,
    ];
    for (const guest of guests) await online(guest.namespace, guest.link);

    for (const url of ["https://good.example.com/", "http://chain.example.com/"]) {
      const { stdout, stderr } = await run("curl", ...CURL6, url);
      assert.match(stdout, new RegExp(`host=${new URL(url).hostname}`), stderr);
    }
    for (const [url, code, reason] of [
      ["https://evil.example.com/", 6, "dns.denied"],
      ["http://private.example.com/", 7, "name.rebind"],
    ] as const) {
      assert.match((await bare("curl", ...CURL6, url)).stdout, /host=/, `${url} without softnet`);
      const denied = await run("curl", ...CURL6, url);
      assert.equal(denied.code, code, `${url}: ${denied.stdout} ${denied.stderr}`);
      assert.ok(((await dropsOf(client))[reason] ?? 0) > 0, reason);
    }
    const other = await run(
      "curl",
      ...CURL6,
      "--connect-to",
      "evil.example.com:443:good.example.com:443",
      "https://evil.example.com/",
    );
    assert.ok([35, 56].includes(other.code!), other.stderr);
  });
});
