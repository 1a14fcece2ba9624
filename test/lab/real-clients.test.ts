/**
 * Each real client at one real server, so that each server has a client: it binds, is renewed, and starts again. All pairs
 * and all states: `npm run test:clients`.
 */
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { Machine } from "./harness/machine.ts";
import { REAL_CLIENTS } from "./harness/real-clients.ts";
import type { ServerKind } from "./harness/servers.ts";
import { assertInnocent } from "./harness/softnet.ts";
import { Play } from "./harness/states.ts";
import { BRIDGE, Lab, labNeeds, SIDE_BY_SIDE } from "./harness/topology.ts";

const SERVERS: Readonly<Record<string, ServerKind>> = {
  "systemd-networkd": "dnsmasq",
  NetworkManager: "systemd-networkd",
  ConnMan: "kea-dhcp4",
  dhcpcd: "udhcpd",
  dhclient: "dhcpd",
  udhcpc: "systemd-networkd",
};

suite("real clients", SIDE_BY_SIDE, () => {
  for (const client of REAL_CLIENTS) {
    const kind = SERVERS[client.name]!;
    test(`${client.name} binds at ${kind}, is renewed, and starts again`, {
      ...labNeeds(client.tool, ...client.needs, kind),
      ...LIMIT,
    }, async (t) => {
      const lab = Lab.open(t);
      const machine = await Machine.create(lab, "7e:1a:00:00:00:01");
      const watch = await lab.watch(lab.host, BRIDGE);
      const play = new Play(machine, client, watch, kind, await Play.server(machine, kind));
      for (const state of ["bound", "renewed", "rebooted"] as const) await play.bring(state);
      assertInnocent(await machine.softnet.stop());
    });
  }
});
