/** Names over a restart of softnet under a running guest (threat row D28): programs that keep an address go on with it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { needsReadable } from "../support/tools.ts";
import { lease } from "./harness/clients.ts";
import { LastingGuest } from "./harness/lasting-guest.ts";
import { CURL, runNamed, startNamed } from "./harness/names.ts";
import { until } from "./harness/program.ts";
import { recordsOf } from "./harness/registry.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { INTERNET, INTERNET_2, Lab, labNeeds, SIDE_BY_SIDE } from "./harness/topology.ts";

const NEEDS = { ...needsReadable(), ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
const GOOD = "good.example.com";
const EVIL = "evil.example.com";

/** curl with an address that it keeps: it looks nothing up. */
const kept = (name: string, address: string) => ["--resolve", `${name}:443:${address}`, `https://${name}/`];

suite("names over a restart", SIDE_BY_SIDE, () => {
  for (const [how, end] of [
    ["killed", "SIGKILL"],
    ["ended in order", "SIGINT"],
  ] as const) {
    test(
      `D28 softnet is ${how}: with the next one a client goes on by the address that it has, without a lookup`,
      NEEDS,
      async (t) => {
        const lab = Lab.open(t);
        await DhcpServer.start(lab, "dhcpd");
        await startNamed(lab);
        const lasting = await LastingGuest.create(lab, ["--only", GOOD]);
        await lease(lasting.guest);
        const run = runNamed(lab, lasting.guest);
        const early = await run("curl", ...CURL, ...kept(GOOD, INTERNET));
        assert.notEqual(early.code, 0, "nothing was looked up yet");
        assert.match((await run("curl", ...CURL, `https://${GOOD}/`)).stdout, /host=good/);
        // The record is found by the namespace in it; the other file is beside it.
        const [record] = recordsOf(lab.host);
        await until("the address is kept", () => readFileSync(`${record}.pairs`, "latin1").includes(GOOD));

        await lasting.softnet.program.stop(end);
        await lasting.again();
        assert.ok(lasting.restored());
        assert.match((await run("curl", ...CURL, ...kept(GOOD, INTERNET))).stdout, /host=good/);
        assert.notEqual((await run("curl", ...CURL, ...kept(GOOD, INTERNET_2))).code, 0, "another address");
        assert.notEqual((await run("curl", ...CURL, ...kept(EVIL, INTERNET))).code, 0, "another name");
        assert.match((await run("curl", ...CURL, `https://${GOOD}/`)).stdout, /host=good/);
        assertInnocent(await lasting.softnet.stop(), "name.unpinned", "name.denied");
      },
    );
  }

  test("D28 a damaged file of names opens nothing, and the guest looks up again", NEEDS, async (t) => {
    const lab = Lab.open(t);
    await DhcpServer.start(lab, "dhcpd");
    await startNamed(lab);
    const lasting = await LastingGuest.create(lab, ["--only", GOOD]);
    await lease(lasting.guest);
    const run = runNamed(lab, lasting.guest);
    assert.match((await run("curl", ...CURL, `https://${GOOD}/`)).stdout, /host=good/);
    const [record] = recordsOf(lab.host);
    await lasting.softnet.stop();
    const file = `${record}.pairs`;
    writeFileSync(file, readFileSync(file, "latin1").replace(INTERNET, INTERNET_2), "latin1");
    await lasting.again();
    assert.ok(lasting.restored());
    for (const address of [INTERNET, INTERNET_2]) {
      assert.notEqual((await run("curl", ...CURL, ...kept(GOOD, address))).code, 0);
    }
    assert.match((await run("curl", ...CURL, `https://${GOOD}/`)).stdout, /host=good/);
    assertInnocent(await lasting.softnet.stop(), "name.unpinned");
  });
});
