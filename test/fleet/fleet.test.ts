/** Agents, real softnets and a real nats-server: what is in force is what the bucket says, whatever is away meanwhile. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { ControlClient } from "../../src/control/client.ts";
import { Agent } from "../../src/fleet/agent.ts";
import { askVm, findVm, getDocument, initialize, listVms, setDocument } from "../../src/fleet/operator.ts";
import { groupKey, hostKey, vmKey } from "../../src/fleet/places.ts";
import type { FoundVm } from "../../src/operate/vms.ts";
import { Log } from "../../src/telemetry/log.ts";
import { ControlPath } from "../lab/harness/control.ts";
import type { Guest } from "../lab/harness/guest.ts";
import { until } from "../lab/harness/program.ts";
import { INTERNET, Lab, labNeeds } from "../lab/harness/topology.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT } from "../support/patience.ts";
import { type NatsServer, natsServers, operator } from "./nats.ts";

const NEEDS = { ...labNeeds("nats-server"), ...LIMIT };
const BLOCKED = { block: [`out ${INTERNET}/32`] };

interface Host {
  readonly agent: Agent;
  readonly connection: NatsConnection;
  readonly found: FoundVm[];
  readonly lines: string[];
  stop(): Promise<void>;
}

/** A lab, and a nats-server in which a fleet is set up. */
async function open(t: TestContext) {
  const lab = Lab.open(t);
  const servers = await natsServers(t);
  const connection = await operator(t, servers);
  await initialize(connection, 1);
  return { lab, servers, connection };
}

/** An agent with a connection of its own. `state`: its folder. */
async function host(
  t: TestContext,
  servers: readonly NatsServer[],
  name: string,
  state = temporaryFolder(t),
): Promise<Host> {
  const connection = await connect({
    servers: servers.map(({ url }) => url),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    waitOnFirstConnect: true,
  });
  const found: FoundVm[] = [];
  const lines: string[] = [];
  const log = new Log({ level: "info", format: "text", write: (line) => lines.push(line) > 0 });
  const agent = new Agent({ connection, host: name, state, find: () => found, log });
  await agent.start();
  const stop = async (): Promise<void> => {
    agent.stop();
    await connection.close();
  };
  t.after(stop);
  return { agent, connection, found, lines, stop };
}

interface FleetGuest {
  readonly guest: Guest;
  readonly vm: FoundVm;
  readonly control: string;
}

async function vm(lab: Lab, name: string, address: string, ...args: readonly string[]): Promise<FleetGuest> {
  const control = new ControlPath(lab);
  const given = ["--vm-ip-address", address, "--gateway", "10.77.0.1", ...control.options, ...args];
  const guest = await lab.guest({ address: `${address}/24`, args: given });
  return { guest, control: control.path, vm: { name, control: control.path, addresses: [], namedByRoot: true } };
}

async function blocksOf(path: string): Promise<string[]> {
  const client = await ControlClient.connect(path);
  try {
    return (await client.ask("softnet.policy.get")).block as string[];
  } finally {
    client.close();
  }
}

async function inForce(path: string, ...expected: readonly string[]): Promise<void> {
  await until(`${expected} is in force`, async () => {
    const blocks = await blocksOf(path);
    return blocks.length === expected.length && expected.every((rule) => blocks.includes(rule)) ? true : undefined;
  });
}

function isKept(state: string, text: string): boolean {
  const path = join(state, "documents.json");
  return existsSync(path) && readFileSync(path, "utf8").includes(text);
}

const doc = (...block: readonly string[]): string => JSON.stringify({ block });

suite("a fleet", () => {
  test(
    "a document reaches the VMs that it is for, is told of, and leaves them what they had when it goes",
    NEEDS,
    async (t) => {
      const { lab, servers, connection } = await open(t);
      const one = await vm(lab, "one", "10.77.0.21", "--label", "web,prod", "--block", "192.0.2.1/32");
      const two = await vm(lab, "two", "10.77.0.22");
      const [first, second] = [await host(t, servers, "h1"), await host(t, servers, "h2")];
      first.found.push(one.vm);
      second.found.push(two.vm);
      assert.ok(await one.guest.ping(INTERNET));
      await setDocument(connection, groupKey("web"), JSON.stringify({ ...BLOCKED, limits: ["out 50M/s"] }));
      await inForce(one.control, `out ${INTERNET}/32`);
      assert.equal(await one.guest.ping(INTERNET, 1), false);
      assert.ok(await two.guest.ping(INTERNET), "it is in no such group");
      const [told] = await until("both are told of", async () => {
        const records = await listVms(connection);
        return records.length === 2 && records[0]!.inForce !== 0 ? records : undefined;
      });
      assert.deepEqual(
        [told!.host, told!.name, told!.document, told!.labels],
        ["h1", "one", "group.web", ["web", "prod"]],
      );
      assert.equal(told!.wanted, told!.inForce);
      const answer = await askVm(connection, "h1", "one", "softnet.explain", {
        direction: "out",
        protocol: "icmp",
        remote: INTERNET,
      });
      assert.equal((answer.result as { verdict: string }).verdict, "drop");
      assert.equal(answer.document, "group.web");
      await setDocument(connection, groupKey("web"), undefined);
      await inForce(one.control, "192.0.2.1/32");
    },
  );

  test(
    "a wrong document changes nothing, and is told with its rule; one that a softnet refuses, too",
    NEEDS,
    async (t) => {
      const { lab, servers, connection } = await open(t);
      const one = await vm(lab, "one", "10.77.0.21");
      (await host(t, servers, "h1")).found.push(one.vm);
      await setDocument(connection, "all", doc("192.0.2.7/32"));
      await inForce(one.control, "192.0.2.7/32");
      await assert.rejects(setDocument(connection, "all", doc("nonsense")), /nonsense/);
      // Somebody writes past the check; and a rule about IPv6, which this VM has not.
      const { jetstream } = await import("@nats-io/jetstream");
      const { Kvm } = await import("@nats-io/kv");
      const bucket = await new Kvm(jetstream(connection)).open("softnet_policy");
      for (const [text, message] of [
        ['{"block":["nonsense"]}', /nonsense/],
        [doc("out 2001:db8::/32"), /IPv6/],
      ] as const) {
        await bucket.put(vmKey("one"), text);
        await until("the mistake is told", async () => {
          const [record] = await listVms(connection);
          return message.test(String(record?.error)) && record!.wanted !== record!.inForce ? true : undefined;
        });
        assert.deepEqual(await blocksOf(one.control), ["192.0.2.7/32"]);
      }
      await setDocument(connection, vmKey("one"), doc("192.0.2.8/32"));
      await inForce(one.control, "192.0.2.8/32");
    },
  );

  test("of two operators the slower one is told, and changes nothing", NEEDS, async (t) => {
    const servers = await natsServers(t);
    const connection = await operator(t, servers);
    await initialize(connection, 1);
    const first = await setDocument(connection, "all", doc("192.0.2.1/32"), 0);
    await assert.rejects(setDocument(connection, "all", doc("192.0.2.2/32"), 0), /somebody else was faster/);
    const second = await setDocument(connection, "all", doc("192.0.2.3/32"), first);
    assert.ok(second > first);
    await assert.rejects(setDocument(connection, "all", undefined, first), /somebody else was faster/);
    assert.match((await getDocument(connection, "all"))!.text, /192\.0\.2\.3/);
  });

  test(
    "NATS away: VMs keep what they have, one that starts gets what was known last, and it is caught up",
    NEEDS,
    async (t) => {
      const { lab, servers, connection } = await open(t);
      const one = await vm(lab, "one", "10.77.0.21");
      const state = temporaryFolder(t);
      const before = await host(t, servers, "h1", state);
      before.found.push(one.vm);
      await setDocument(connection, hostKey("h1"), doc("192.0.2.1/32"));
      await inForce(one.control, "192.0.2.1/32");
      await until("it is kept", () => isKept(state, "192.0.2.1") || undefined);
      await servers[0]!.kill();
      const two = await vm(lab, "two", "10.77.0.22", "--require-policy");
      assert.equal(await two.guest.ping(INTERNET, 1), false, "closed until a policy came");
      before.found.push(two.vm);
      await inForce(two.control, "192.0.2.1/32");
      assert.ok(await two.guest.ping(INTERNET));
      assert.deepEqual(await blocksOf(one.control), ["192.0.2.1/32"]);
      await servers[0]!.start();
      await until(
        "NATS is back",
        async () => (await getDocument(connection, hostKey("h1")).catch(() => undefined)) && true,
      );
      await setDocument(connection, hostKey("h1"), doc("192.0.2.2/32"));
      await inForce(one.control, "192.0.2.2/32");
      await inForce(two.control, "192.0.2.2/32");
    },
  );

  test(
    "a softnet that was started anew gets its policy again, and a lost file of the agent's costs nothing",
    NEEDS,
    async (t) => {
      const { lab, servers, connection } = await open(t);
      const one = await vm(lab, "one", "10.77.0.21");
      const state = temporaryFolder(t);
      writeFileSync(join(state, "documents.json"), '{"entries":{"all":{"revision":"x"}}}');
      const { found } = await host(t, servers, "h1", state);
      found.push(one.vm);
      await setDocument(connection, "all", doc("192.0.2.1/32"));
      await inForce(one.control, "192.0.2.1/32");
      await one.guest.stop();
      await until("it is forgotten", async () =>
        (await listVms(connection))[0]?.reachable === false ? true : undefined,
      );
      const again = await vm(lab, "one", "10.77.0.23", "--control-socket", one.control);
      await inForce(again.control === one.control ? again.control : one.control, "192.0.2.1/32");
    },
  );

  test("only questions may be asked through the fleet, and a VM is found by its name", NEEDS, async (t) => {
    const { lab, servers, connection } = await open(t);
    const one = await vm(lab, "a.b", "10.77.0.21");
    (await host(t, servers, "h.1")).found.push(one.vm);
    await until("it is told of", async () => (await listVms(connection)).length === 1 || undefined);
    assert.deepEqual(await findVm(connection, "a.b"), { host: "h.1", name: "a.b" });
    for (const wrong of ["", "a b", "h.1/", "/a.b", "h.1/a/b", "h.1/*", ">"]) {
      await assert.rejects(findVm(connection, wrong), /is no VM: give NAME or HOST\/NAME/, wrong);
    }
    await assert.rejects(findVm(connection, "c"), /no agent has told of a VM of this name/);
    await assert.rejects(
      askVm(connection, "h.1", "a.b", "softnet.policy.set", { allow: [], block: [] }),
      /only softnet\.status/,
    );
    await assert.rejects(askVm(connection, "h.1", "c", "softnet.status"), /h\.1 has no VM c/);
    await assert.rejects(askVm(connection, "h2", "a.b", "softnet.status"), /no agent of this host is connected/);
    const hostile = await connection.request("softnet.ask.h=2E1.a=2Eb", new Uint8Array(10_000).fill(123));
    assert.match(hostile.string(), /no JSON object, or too long/);
  });

  test("what NATS stops to push is noticed, and the documents are read anew", NEEDS, async (t) => {
    const { lab, servers, connection } = await open(t);
    const one = await vm(lab, "one", "10.77.0.21");
    const { found, lines } = await host(t, servers, "h1");
    found.push(one.vm);
    await setDocument(connection, "all", doc("192.0.2.1/32"));
    await inForce(one.control, "192.0.2.1/32");
    const { jetstreamManager } = await import("@nats-io/jetstream");
    const { consumers } = await jetstreamManager(connection);
    for await (const { name } of consumers.list("KV_softnet_policy")) await consumers.delete("KV_softnet_policy", name);
    await setDocument(connection, "all", doc("192.0.2.2/32"));
    await inForce(one.control, "192.0.2.2/32");
    assert.match(lines.join(""), /the documents are read anew/);
  });

  test(
    "a cluster of three: whichever server is killed, the fleet's policy is set and comes into force",
    NEEDS,
    async (t) => {
      const lab = Lab.open(t);
      const servers = await natsServers(t, 3);
      const connection = await operator(t, servers);
      await until(
        "the cluster has elected",
        async () =>
          await initialize(connection, 3).then(
            () => true,
            () => undefined,
          ),
      );
      const one = await vm(lab, "one", "10.77.0.21");
      (await host(t, servers, "h1")).found.push(one.vm);
      for (const [index, server] of servers.entries()) {
        await server.kill();
        const rule = `192.0.2.${index + 1}/32`;
        await until("it is set", async () => await setDocument(connection, "all", doc(rule)).catch(() => undefined));
        await inForce(one.control, rule);
        await server.start();
        await until("it is in the cluster again", async () => {
          const found = await getDocument(connection, "all").catch(() => undefined);
          return found?.text.includes(rule) || undefined;
        });
      }
    },
  );
});
