/** An address that VMs on two hosts claim: two labs are two hosts, each with its bridge, its softnet and its agent. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { connect } from "@nats-io/transport-node";
import { Agent } from "../../src/fleet/agent.ts";
import { initialize, listVms } from "../../src/fleet/operator.ts";
import type { FoundVm } from "../../src/operate/vms.ts";
import { Log } from "../../src/telemetry/log.ts";
import { ControlPath } from "../lab/harness/control.ts";
import { BRIDGE, Lab, labNeeds } from "../lab/harness/topology.ts";
import { MAIN } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT, until } from "../support/patience.ts";
import { natsServers, operator } from "./nats.ts";

/** Not synchronously: the agents are in this process. */
const run = async (...words: readonly string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [MAIN, "fleet", ...words])).stdout;

const NEEDS = { ...labNeeds("nats-server"), ...LIMIT };

test("VMs on two hosts with one address on one network are told as an event, and shown with each", NEEDS, async (t) => {
  const servers = await natsServers(t);
  const admin = await operator(t, servers);
  await initialize(admin, 1);
  const url = ["--nats", servers[0]!.url];
  let events = "";
  const watch = (...words: readonly string[]) => {
    const child = spawn(process.execPath, [MAIN, "fleet", "watch", ...words, ...url], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    t.after(() => child.kill("SIGKILL"));
    return child;
  };
  watch("--json", "--label", "web").stdout.on("data", (chunk: Buffer) => (events += chunk));
  const conflicts = (): Record<string, unknown>[] =>
    events
      .split("\n")
      .filter((line) => line.includes('"conflict"'))
      .map((line) => JSON.parse(line));

  const host = async (name: string, address: string, network: string) => {
    const lab = Lab.open(t);
    const control = new ControlPath(lab);
    const args = ["--vm-ip-address", address, "--gateway", "10.77.0.1", "--label", "web", ...control.options];
    const guest = await lab.guest({ address: `${address}/24`, args });
    const connection = await connect({ servers: servers[0]!.url });
    const found: FoundVm = { name: `vm-${name}`, control: control.path, addresses: [], namedByRoot: true };
    const log = new Log({ level: "info", format: "text", write: () => true });
    const sharedNetworks = new Map([[BRIDGE, network]]);
    const place = { host: name, state: temporaryFolder(t), find: () => [found] };
    const agent = new Agent({ ...place, connection, sharedNetworks, log });
    await agent.start();
    t.after(async () => {
      agent.stop();
      await connection.close();
    });
    return guest;
  };
  await host("h1", "10.77.0.21", "lan");
  await host("h3", "10.77.0.21", "elsewhere");
  await until("both are told of", async () => (await listVms(admin)).length === 2 || undefined);
  assert.doesNotMatch(await run("list", ...url), /claimed/, "another network");
  const second = await host("h2", "10.77.0.21", "lan");
  const [told] = await until("the event", () => (conflicts().length > 0 ? conflicts() : undefined));
  const { time, ...conflict } = told!;
  assert.match(String(time), /^20\S+Z$/);
  const claims = [
    { host: "h1", vm: "vm-h1" },
    { host: "h2", vm: "vm-h2" },
  ];
  assert.deepEqual(conflict, { event: "conflict", change: "began", network: "lan", address: "10.77.0.21", claims });
  const list = await run("list", ...url);
  assert.match(list, /^h1 .* 10\.77\.0\.21 on lan is claimed by h2\/vm-h2 too$/m);
  assert.match(list, /^h2 .* 10\.77\.0\.21 on lan is claimed by h1\/vm-h1 too$/m);
  assert.doesNotMatch(list, /^h3 .*claimed/m);
  assert.match(await run("status", "vm-h2", ...url), /^conflict +10\.77\.0\.21 on lan is claimed by h1/m);
  await second.stop();
  const [, over] = await until("it is over", () => (conflicts().length > 1 ? conflicts() : undefined));
  assert.deepEqual([over!.change, over!.address], ["ended", "10.77.0.21"]);
  assert.equal(conflicts().length, 2);
});
