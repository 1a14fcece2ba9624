/**
 * Agents of many hosts in one process, a child of bench/fleet.ts: each is the real one, with its own connection to NATS and its own folder,
 * over the simulated VMs of its host. Only which VMs there are is said here, not looked for.
 *
 * fleet-agents.ts URL FOLDER FIRST HOSTS VMS
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { Agent } from "../src/fleet/agent.ts";
import { keepConnected } from "../src/fleet/connection.ts";
import { Log } from "../src/telemetry/log.ts";
import type { Usage } from "./fleet-parts.ts";

const [nats = "", folder = "", first = "0", hosts = "1", vms = "1"] = process.argv.slice(2);
const log = new Log({
  level: "warn",
  format: "text",
  write: (line) => process.stderr.write(line),
});

const connections = await Promise.all(
  Array.from({ length: Number(hosts) }, async (_, index) => {
    const host = `h${Number(first) + index}`;
    const found = Array.from({ length: Number(vms) }, (_, vm) => ({
      name: `${host}-vm${vm}`,
      control: `${folder}/${host}/vm${vm}.ctl`,
      addresses: [],
      namedByRoot: true,
    }));
    const agent = new Agent({ host, state: `${folder}/${host}/state`, find: () => found, log });
    await agent.start();
    return await new Promise<NatsConnection>((resolve) => {
      const use = async (connection: NatsConnection): Promise<void> => {
        await agent.use(connection);
        resolve(connection);
      };
      keepConnected({ nats }, host, use, (why) => log.warn("no connection", { why }));
    });
  }),
);

process.on("message", () => {
  const stats = connections.map((connection) => connection.stats());
  const sum = (key: "inBytes" | "outBytes" | "inMsgs" | "outMsgs"): number =>
    stats.reduce((total, one) => total + one[key], 0);
  const { user, system } = process.cpuUsage();
  const usage: Usage = {
    inBytes: sum("inBytes"),
    outBytes: sum("outBytes"),
    inMessages: sum("inMsgs"),
    outMessages: sum("outMsgs"),
    memory: process.memoryUsage.rss(),
    cpu: (user + system) / 1e6,
  };
  process.send!(usage);
});
process.on("disconnect", () => process.exit());
process.send!({ ready: 0 });
