/** What a VM with a list of names may ask its DNS server, by hand, and how it is told no. The server is dnsmasq. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { CURL, dropsOf, openNameScene } from "./harness/names.ts";
import { DNS_SERVER, INTERNET, INTERNET_2, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
const GOOD = "good.example.com";

/** The case, the lines that come back, and the reason of a drop. */
const QUESTIONS: readonly (readonly [string, readonly string[], string?])[] = [
  // As systemd-resolved and glibc ask: in parallel, with EDNS. No line says "late".
  ["A, AAAA and HTTPS at once", [`1 0 ${INTERNET}`, "28 0", "65 0"], "dns.type"],
  ["forbidden", ["1 3", "28 3"], "dns.denied"],
  ["forbidden by TCP", ["1 3", "end"], "dns.denied"],
  ["byte by byte by TCP", [`1 0 ${INTERNET}`, "end"]],
  ["allowed, then forbidden, by TCP", [`1 0 ${INTERNET}`, "1 3", "end"], "dns.denied"],
  ["at once by TCP", ["1 3", "end"], "dns.denied"],
  ["a label with a dot", ["1 3"], "dns.denied"],
  ["a label with a NUL", ["1 3"], "dns.denied"],
  ["below an exact name", ["1 3"], "dns.denied"],
  ["upper and lower case", [`1 0 ${INTERNET}`]],
  ["ANY, NULL and a private type", ["10 0", "255 0", "65280 0"], "dns.type"],
  ["two questions", ["refused"], "dns.format"],
  ["a pointer in the question", ["refused"], "dns.format"],
  ["bytes behind the question", ["refused"], "dns.format"],
  ["an update", ["refused"], "dns.format"],
  ["fragments", ["refused"], "dns.fragment"],
  ["flood", ["bounded"], "dns.budget"],
];

suite("names at a DNS server", SIDE_BY_SIDE, () => {
  test(
    "N2 what is not a plain question for an allowed name is answered by softnet, or refused at once",
    NEEDS,
    async (t) => {
      const { run, client } = await openNameScene(t, GOOD);
      for (const [what, lines, reason] of QUESTIONS) {
        const before = await dropsOf(client!);
        const { stdout, stderr } = await run("/usr/bin/python3", tool("name-questions.py"), DNS_SERVER, what);
        assert.deepEqual(stdout.trim().split("\n"), lines, `${what}: ${stderr}`);
        if (reason === undefined) continue;
        const after = await dropsOf(client!);
        assert.ok((after[reason] ?? 0) > (before[reason] ?? 0), `${what}: ${reason} in ${JSON.stringify(after)}`);
      }
    },
  );

  test(
    "N5 every address of a rotating name works; the metadata service is no host of an allowed name",
    NEEDS,
    async (t) => {
      const { run, client, lab } = await openNameScene(t, "pool.example.com,metadata.example.com");
      const sink = lab.start(lab.internet, "/usr/bin/python3", [tool("name-sink.py"), INTERNET_2]);
      await sink.line(/^ready$/);
      // The lookup gives both addresses, in an order of the server's own.
      await run("curl", ...CURL, "http://pool.example.com/");
      for (const address of [INTERNET, INTERNET_2]) {
        const resolve = ["--resolve", `pool.example.com:80:${address}`];
        const { stdout } = await run("curl", ...CURL, "--http0.9", ...resolve, "http://pool.example.com/");
        assert.match(stdout, address === INTERNET ? /host=pool/ : /^got /, address);
      }
      const metadata = await run("curl", ...CURL, "http://metadata.example.com/");
      assert.equal(metadata.code, 7, metadata.stderr);
      assert.ok((await dropsOf(client!))["name.rebind"]! > 0);
    },
  );
});
