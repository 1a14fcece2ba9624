/**
 * Real clients at real servers through softnet, state by state: `npm run test:clients`. With SOFTNET_CLIENTS_RESULTS=FILE
 * it notes there what happened, from which `node scripts/clients-page.ts` writes docs/clients.md. SOFTNET_CLIENTS and
 * SOFTNET_SERVERS name those of interest.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { Machine } from "../lab/harness/machine.ts";
import { REAL_CLIENTS, versionOf } from "../lab/harness/real-clients.ts";
import { ALL_SERVER_KINDS } from "../lab/harness/servers.ts";
import { assertInnocent } from "../lab/harness/softnet.ts";
import { type Outcomes, Play, STATES, type State } from "../lab/harness/states.ts";
import { BRIDGE, Lab, labNeeds } from "../lab/harness/topology.ts";
import { PATIENCE } from "../support/patience.ts";

const wanted = (name: string, given: string | undefined) => given === undefined || given.split(",").includes(name);

const pairs = REAL_CLIENTS.flatMap((client) => ALL_SERVER_KINDS.map((kind) => ({ client, kind }))).filter(
  ({ client, kind }) => wanted(client.name, process.env.SOFTNET_CLIENTS) && wanted(kind, process.env.SOFTNET_SERVERS),
);
const states = STATES.filter((state) => wanted(state, process.env.SOFTNET_STATES));

suite("real clients at real servers", { concurrency: 4 }, () => {
  for (const { client, kind } of pairs) {
    test(`G2 G3 ${client.name} at ${kind}: ${states.join(", ")}`, {
      ...labNeeds(client.tool, ...client.needs, kind),
      timeout: 10 * PATIENCE,
    }, async (t) => {
      const lab = Lab.open(t);
      const machine = await Machine.create(lab, "7e:1a:00:00:00:01");
      const watch = await lab.watch(lab.host, BRIDGE);
      const play = new Play(machine, client, watch, kind, await Play.server(machine, kind));
      const outcomes: Outcomes = {};
      for (const state of states) {
        try {
          outcomes[state] = await play.bring(state);
        } catch (error) {
          throw new Error(`${state}, after ${JSON.stringify(outcomes)}: ${(error as Error).message}`, { cause: error });
        }
        t.diagnostic(`${client.name} ${kind} ${state}: ${JSON.stringify(outcomes[state])}`);
      }
      note(client.name, kind, outcomes);
      assertInnocent(await machine.softnet.stop(), "ipv4.unbound", "arp.sender-address");
    });
  }
});

function note(client: string, server: string, outcomes: Partial<Record<State, unknown>>): void {
  const file = process.env.SOFTNET_CLIENTS_RESULTS;
  if (file === undefined) return;
  const results = JSON.parse(readFileSync(file, "utf8"));
  results.pairs[client] = { ...results.pairs[client], [server]: outcomes };
  results.versions[client] = versionOf(REAL_CLIENTS.find(({ name }) => name === client)!.version);
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
}
