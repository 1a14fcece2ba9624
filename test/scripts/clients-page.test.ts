/** docs/clients.md fits the tables of the tests and the results that are noted beside them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { clientsPage } from "../../scripts/clients-page.ts";
import { readResults } from "../clients/results.ts";
import { REAL_CLIENTS } from "../lab/harness/real-clients.ts";
import { ALL_SERVER_KINDS } from "../lab/harness/servers.ts";
import { STATES } from "../lab/harness/states.ts";

const results = readResults();

test("docs/clients.md is what npm run docs:clients writes", () => {
  assert.equal(readFileSync(new URL("../../docs/clients.md", import.meta.url), "utf8"), clientsPage(results));
});

test("every pair of a real client and a real server was tried in every state, and was online in each", () => {
  for (const { name } of REAL_CLIENTS) {
    for (const kind of ALL_SERVER_KINDS) {
      for (const state of STATES) {
        const { by } = results.pairs[name]?.[kind]?.[state] ?? { by: "not tried" };
        assert.doesNotMatch(by, /^not /, `${name} at ${kind}: ${state}`);
      }
    }
  }
});

test("every program has a version", () => {
  for (const name of [...REAL_CLIENTS.map((client) => client.name), ...ALL_SERVER_KINDS, "QEMU's ROMs"]) {
    assert.match(results.versions[name] ?? "", /^\d+\./, name);
  }
});
