/** packaging/fleet/nats.conf: each user may what it must, and is refused the rest. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Agent } from "../../src/fleet/agent.ts";
import { getDocument, initialize, listVms, setDocument } from "../../src/fleet/operator.ts";
import { inboxOf } from "../../src/fleet/places.ts";
import { Log } from "../../src/telemetry/log.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT, until } from "../support/patience.ts";
import { needs } from "../support/tools.ts";
import { type NatsServer, natsServers } from "./nats.ts";

const NEEDS = { ...needs("nats-server"), ...LIMIT };
const CONFIGURATION = readFileSync(new URL("../../packaging/fleet/nats.conf", import.meta.url), "utf8").replace(
  /^jetstream .*$/m,
  "",
);
const DOCUMENT = JSON.stringify({ block: ["192.0.2.1/32"] });

async function as(t: TestContext, [server]: readonly NatsServer[], user: string): Promise<NatsConnection> {
  const own = user.startsWith("h") ? { inboxPrefix: inboxOf(user) } : {};
  const connection = await connect({ servers: server!.url, user, pass: user, ...own });
  t.after(() => connection.close());
  return connection;
}

/** What NATS refuses this connection from now on. */
function refusals(connection: NatsConnection): string[] {
  const refused: string[] = [];
  void (async () => {
    for await (const status of connection.status()) if (status.type === "error") refused.push(String(status.error));
  })();
  return refused;
}

test("a reader reads, and changes nothing", NEEDS, async (t) => {
  const servers = await natsServers(t, 1, CONFIGURATION);
  const admin = await as(t, servers, "admin");
  await initialize(admin, 1);
  await setDocument(admin, "all", DOCUMENT);
  const reader = await as(t, servers, "reader");
  assert.equal((await getDocument(reader, "all"))?.text, DOCUMENT);
  assert.deepEqual(await listVms(reader), []);
  await assert.rejects(setDocument(reader, "all", "{}"), /not set/);
  await assert.rejects(setDocument(reader, "group.web", "{}"), /not set/);
  assert.equal((await getDocument(admin, "all"))?.text, DOCUMENT);
});

test("who may set one group's policy sets no other", NEEDS, async (t) => {
  const servers = await natsServers(t, 1, CONFIGURATION);
  const admin = await as(t, servers, "admin");
  await initialize(admin, 1);
  const web = await as(t, servers, "web");
  assert.ok((await setDocument(web, "group.web", DOCUMENT)) > 0);
  for (const key of ["group.db", "all", "host.h1", "vm.one"]) {
    await assert.rejects(setDocument(web, key, DOCUMENT), /not set/, key);
    assert.equal(await getDocument(admin, key), undefined);
  }
});

test("an agent's credentials speak for its own host alone, and set no policy", NEEDS, async (t) => {
  const servers = await natsServers(t, 1, CONFIGURATION);
  const admin = await as(t, servers, "admin");
  await initialize(admin, 1);
  await setDocument(admin, "all", DOCUMENT);
  const h1 = await as(t, servers, "h1");
  const refused = refusals(h1);
  const log = new Log({ level: "info", format: "text", write: () => true });
  const agent = new Agent({ connection: h1, host: "h1", state: temporaryFolder(t), find: () => [], log });
  await agent.start();
  t.after(() => agent.stop());
  await h1.flush();
  assert.equal(refused.join(), "", "what an agent needs it may");
  const { jetstream } = await import("@nats-io/jetstream");
  const stream = jetstream(h1);
  await stream.publish("$KV.softnet_state.h1.one", '{"host":"h1","name":"one"}');
  assert.equal((await listVms(admin)).length, 1);
  await stream.publish("$KV.softnet_state.h1.two", '{"host":"h2","name":"db"}');
  const told = (await listVms(admin)).map((record) => `${record.host}/${record.name}`);
  assert.deepEqual(told, ["h1/one", "h1/two"], "whose a record is, its key says");
  const others = ["$KV.softnet_state.h2.one", "$KV.softnet_policy.all", "$KV.softnet_policy.host.h1"];
  const spoken = [...others, "softnet.event.h2.one", "softnet.ask.h2.one"];
  for (const subject of spoken) h1.publish(subject, DOCUMENT);
  const heard = ["softnet.ask.h2.*", "_INBOX.>", "softnet.event.>", "$KV.softnet_state.>"];
  for (const subject of heard) h1.subscribe(subject);
  await h1.flush();
  for (const subject of [...spoken, ...heard]) {
    await until(`${subject} is refused`, () => refused.some((text) => text.includes(`"${subject}"`)) || undefined);
  }
  assert.equal((await listVms(admin)).length, 2);
  assert.equal((await getDocument(admin, "all"))?.text, DOCUMENT);
});
