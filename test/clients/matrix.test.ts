/**
 * Real clients at real servers through softnet, state by state: `npm run test:clients`. SOFTNET_CLIENTS, SOFTNET_SERVERS
 * and SOFTNET_STATES name those of interest, with commas between.
 */
import { suite, test } from "node:test";
import { Machine } from "../lab/harness/machine.ts";
import { REAL_CLIENTS, versionOf } from "../lab/harness/real-clients.ts";
import { ALL_SERVER_KINDS, SERVER_VERSIONS } from "../lab/harness/servers.ts";
import { assertInnocent, type Softnet } from "../lab/harness/softnet.ts";
import { type Outcomes, Play, STATES } from "../lab/harness/states.ts";
import { BRIDGE, Lab, labNeeds } from "../lab/harness/topology.ts";
import { LONG_LIMIT } from "../support/patience.ts";
import { note, noteAt } from "./results.ts";

const wanted = (name: string, given: string | undefined) => given === undefined || given.split(",").includes(name);

const pairs = REAL_CLIENTS.flatMap((client) => ALL_SERVER_KINDS.map((kind) => ({ client, kind }))).filter(
  ({ client, kind }) => wanted(client.name, process.env.SOFTNET_CLIENTS) && wanted(kind, process.env.SOFTNET_SERVERS),
);
const states = STATES.filter((state) => wanted(state, process.env.SOFTNET_STATES));

/** Whether the first probe that was dropped, which is the one in the log, was for a link-local address (169.254.0.0/16). */
function probedLinkLocal({ records }: Softnet): boolean {
  const drop = records.find(({ message, reason }) => message === "first drop" && reason === "arp.probe");
  return /^ARP probe 169\.254\.\d+\.\d+$/.test(String(drop?.frame));
}

suite("real clients at real servers", { concurrency: 4 }, () => {
  for (const { client, kind } of pairs) {
    test(`G2 G3 ${client.name} at ${kind}: ${states.join(", ")}`, {
      ...labNeeds(client.tool, ...client.needs, kind),
      ...LONG_LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      const machine = await Machine.create(lab, "7e:1a:00:00:00:01");
      const watch = await lab.watch(lab.host, BRIDGE);
      const play = new Play(machine, client, watch, kind, await Play.server(machine, kind));
      const outcomes: Outcomes = {};
      const noteAll = () =>
        note((results) => {
          noteAt(results.pairs, client.name, kind, outcomes);
          results.versions[client.name] = versionOf(client.version);
          results.versions[kind] = versionOf(SERVER_VERSIONS[kind]);
        });
      for (const state of states) {
        try {
          outcomes[state] = await play.bring(state);
        } catch (error) {
          outcomes[state] = { by: "not online", after: 0 };
          noteAll();
          throw new Error(`${state}, after ${JSON.stringify(outcomes)}: ${(error as Error).message}`, { cause: error });
        }
        t.diagnostic(`${client.name} ${kind} ${state}: ${JSON.stringify(outcomes[state])}`);
      }
      noteAll();
      const summary = await machine.softnet.stop();
      t.diagnostic(`dropped: ${JSON.stringify(summary.drops)}`);
      // Without a record softnet knows no server to which RENEWING may go, and lets REBINDING pass.
      // A server that refuses softnet's copy of a REBINDING as well says NAK twice, and the first one ends the transaction.
      // A client that asks again within 3 s of a REQUEST without a reply loses that one frame (dhcp.pending, row D2).
      // One whose lease is over takes a link-local address meanwhile (RFC 3927 2.2.1: ConnMan, while softnet is stopped).
      assertInnocent(
        summary,
        ...(probedLinkLocal(machine.softnet) ? ["arp.probe"] : []),
        "ipv4.unbound",
        "arp.sender-address",
        "dhcp.addresses",
        "dhcp.transaction",
        "dhcp.pending",
      );
    });
  }
});
