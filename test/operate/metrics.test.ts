/** Metrics of many VMs: who answers for one VM cannot spoil the others', and who reads them cannot stop them. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { parseListenAddress } from "../../src/operate/metrics/address.ts";
import { gatherMetrics } from "../../src/operate/metrics/gather.ts";
import { readExposition } from "../../src/operate/metrics/read.ts";
import { serveMetrics } from "../../src/operate/metrics/serve.ts";
import { writeTextfile } from "../../src/operate/metrics/textfile.ts";
import type { FoundVm } from "../../src/operate/vms.ts";
import { Exposition } from "../../src/telemetry/exposition.ts";
import { familyOf } from "../../src/telemetry/metric-families.ts";
import { softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/patience.ts";
import { needsLoopback, needsRoot } from "../support/tools.ts";

const UP = familyOf("softnet_up")!;
const GOOD = 'softnet_pins{vm="x"} 7\nsoftnet_frames_total{vm="x",direction="egress",verdict="pass"} 3\n# EOF\n';

/** A program that answers each request with this text. */
async function answering(t: TestContext, path: string, text: unknown): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    createInterface({ input: socket }).on("line", (line) => {
      socket.write(`${JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(line).id, result: { text } })}\n`);
    });
  }).listen(path);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.once("listening", resolve));
  return path;
}

const vm = (more: Partial<FoundVm>): FoundVm => ({ addresses: [], namedByRoot: false, ...more });

test("one exposition for all: families once, each sample with the label of the place where its softnet was found", async (t) => {
  const folder = temporaryFolder(t);
  const control = await answering(t, join(folder, "a"), GOOD);
  const forged = await answering(t, join(folder, "b"), GOOD.replaceAll('vm="x"', 'vm="web"'));
  const vms = [vm({ name: "web", control, namedByRoot: true }), vm({ mac: "02:00:00:00:00:01", control: forged })];
  const text = (await gatherMetrics(vms)).render("openmetrics");
  assert.equal(
    text.replaceAll(/^# HELP.*\n/gm, ""),
    `# TYPE softnet_up gauge
softnet_up{vm="web"} 1
softnet_up{vm="02:00:00:00:00:01"} 1
# TYPE softnet_frames counter
softnet_frames_total{vm="web",direction="egress",verdict="pass"} 3
softnet_frames_total{vm="02:00:00:00:00:01",direction="egress",verdict="pass"} 3
# TYPE softnet_pins gauge
softnet_pins{vm="web"} 7
softnet_pins{vm="02:00:00:00:00:01"} 7
# EOF
`,
  );
});

test("who does not answer has softnet_up 0; a socket of an ended softnet has nothing; equal names are told apart", async (t) => {
  const folder = temporaryFolder(t);
  const control = await answering(t, join(folder, "a"), GOOD);
  const other = await answering(t, join(folder, "b"), 5);
  const vms = [
    vm({ name: "web", control: other }),
    vm({ name: "web", control, namedByRoot: true }),
    vm({ name: "ended", control: join(folder, "none") }),
    vm({ mac: "02:00:00:00:00:02", network: "bridge br0" }),
    vm({ mac: "02:00:00:00:00:02", network: "bridge br1" }),
  ];
  const text = (await gatherMetrics(vms)).render("prometheus");
  assert.deepEqual(
    text.split("\n").filter((line) => line.startsWith("softnet_up")),
    [
      'softnet_up{vm="web"} 1',
      `softnet_up{vm="${other}"} 0`,
      'softnet_up{vm="02:00:00:00:00:02"} 0',
      'softnet_up{vm="02:00:00:00:00:02 bridge br1"} 0',
    ],
  );
});

const HOSTILE: readonly (readonly [string, string])[] = [
  ["a family that softnet does not have", 'evil_total{vm="x"} 1'],
  ["a label more", 'softnet_pins{vm="x",remote="1.2.3.4"} 1'],
  ["a label less", 'softnet_bytes_total{vm="x"} 1'],
  ["labels in another order", 'softnet_frames_total{vm="x",verdict="pass",direction="egress"} 1'],
  ["a word that softnet does not have", 'softnet_drops_total{vm="x",direction="egress",reason="made-up"} 1'],
  ["a negative value", 'softnet_pins{vm="x"} -1'],
  ["no number", 'softnet_pins{vm="x"} NaN'],
  ["a time", 'softnet_pins{vm="x"} 1 1700000000'],
  ["an exemplar", 'softnet_bytes_total{vm="x",direction="egress"} 1 # {a="b"} 1'],
  ["an info that is not 1", 'softnet_build_info{vm="x",version="1"} 2'],
  ["a quotation mark", 'softnet_build_info{vm="x",version="1"2"} 1'],
  ["an escape that there is not", 'softnet_build_info{vm="x",version="\\x"} 1'],
  ["an open end", 'softnet_build_info{vm="x",version="1'],
  ["a long label", `softnet_build_info{vm="x",version="${"v".repeat(600)}"} 1`],
  ["a comment", "# TYPE softnet_pins histogram"],
];

for (const [what, line] of HOSTILE) {
  test(`an answer with ${what}: that is left out`, () => {
    assert.deepEqual(readExposition(`${line}\n`), []);
    assert.equal(readExposition(`${line}\n${GOOD}`).length, 2);
  });
}

test("an answer has each sample once, and not without end", () => {
  assert.equal(readExposition(GOOD + GOOD).length, 2);
  const versions = Array.from({ length: 5000 }, (_, index) => `softnet_build_info{vm="x",version="${index}"} 1`);
  assert.equal(readExposition(versions.slice(0, 2000).join("\n")).length, 1000);
  assert.deepEqual(readExposition(`${"x".repeat(300_000)}\n${GOOD}`), []);
});

test("hostile names: a label's value is escaped, and read back as it was", () => {
  const exposition = new Exposition();
  const family = familyOf("softnet_vm_info")!;
  const mac = 'a"} 1\nsoftnet_up{vm="other"} 1';
  exposition.add(family, 'back\\slash "quoted"', [mac, "\u0000\u001b[31m", "\ud800"], 1);
  const text = exposition.render("openmetrics");
  assert.equal(text.split("\n").filter((line) => line.startsWith("softnet")).length, 1);
  assert.deepEqual(readExposition(text)[0]!.values, [mac, "??[31m", "\ufffd"]);
});

test("a textfile takes the old one's place as a whole; a mistake is one line and leaves nothing", (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "softnet.prom");
  writeFileSync(path, "old");
  writeTextfile(path, "new\n");
  assert.equal(readFileSync(path, "utf8"), "new\n");
  assert.deepEqual(readdirSync(folder), ["softnet.prom"]);
  assert.throws(() => writeTextfile(join(folder, "softnet.txt"), ""), /names end with \.prom$/);
  mkdirSync(join(folder, "folder.prom"));
  assert.throws(() => writeTextfile(join(folder, "folder.prom"), ""), /--textfile \S+ cannot be written/);
  assert.throws(() => writeTextfile(join(folder, "none", "x.prom"), ""), /cannot be written/);
  assert.deepEqual(readdirSync(folder).toSorted(), ["folder.prom", "softnet.prom"]);
});

test("only loopback addresses and unix sockets are listened on", () => {
  assert.deepEqual(parseListenAddress("127.0.0.1:9965"), { host: "127.0.0.1", port: 9965 });
  assert.deepEqual(parseListenAddress("[::1]:9965"), { host: "::1", port: 9965 });
  assert.deepEqual(parseListenAddress("unix:/run/x"), { path: "/run/x" });
  const wrong = [
    "0.0.0.0:9965",
    "192.168.1.1:80",
    "[::]:80",
    "localhost:80",
    ":9965",
    "9965",
    "127.0.0.1",
    "127.0.0.1:0",
  ];
  for (const text of [
    ...wrong,
    "127.0.0.1:65536",
    "unix:",
    `unix:/${"x".repeat(200)}`,
    "127.1:80",
    "127.0.0.1.evil:80",
  ]) {
    assert.throws(() => parseListenAddress(text), /^UserError: --listen .* is not valid: give unix:PATH/, text);
  }
});

async function served(t: TestContext, gather: () => Promise<Exposition>) {
  const path = join(temporaryFolder(t), "http");
  const server = await serveMetrics({ path }, gather);
  t.after(() => server.close());
  const get = (url: string, options: { method?: string; accept?: string } = {}) =>
    new Promise<{ status: number; type: string; text: string }>((resolve, reject) => {
      const headers = options.accept === undefined ? {} : { accept: options.accept };
      request({ socketPath: path, path: url, method: options.method ?? "GET", headers, agent: false }, (response) => {
        let text = "";
        response.on("data", (part) => {
          text += part;
        });
        const { statusCode: status = 0, headers: given } = response;
        response.on("end", () => resolve({ status, type: given["content-type"] ?? "", text }));
      })
        .on("error", reject)
        .end();
    });
  return { path, get, server };
}

const oneUp = async (): Promise<Exposition> => {
  const exposition = new Exposition();
  exposition.add(UP, "web", [], 1);
  return exposition;
};

test("by HTTP the reader says which format it takes; there is nothing but GET /metrics", async (t) => {
  const { get } = await served(t, oneUp);
  const older = await get("/metrics");
  assert.deepEqual([older.status, older.type], [200, "text/plain; version=0.0.4; charset=utf-8"]);
  assert.doesNotMatch(older.text, /EOF/);
  const newer = await get("/metrics?x=1", { accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5" });
  assert.equal(newer.type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
  assert.match(newer.text, /# EOF\n$/);
  for (const url of ["/", "/metrics/", "/../metrics", "//metrics"]) assert.equal((await get(url)).status, 404, url);
  assert.equal((await get("/metrics", { method: "POST" })).status, 405);
});

test("however many ask at the same time, the VMs are asked once", async (t) => {
  let asked = 0;
  const { get } = await served(t, () => {
    asked++;
    return oneUp();
  });
  const answers = await Promise.all(Array.from({ length: 10 }, () => get("/metrics")));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal(asked, 1);
});

test("clients that say nothing are ended, and others are served then", async (t) => {
  const { path, get } = await served(t, oneUp);
  const silent = Array.from({ length: 40 }, () =>
    createConnection(path)
      .on("error", () => {})
      .resume(),
  );
  await until("all are ended", () => silent.every(({ destroyed }) => destroyed));
  assert.equal((await get("/metrics")).status, 200);
});

test("by a name of somebody else's the loopback address gives nothing", needsLoopback(), async (t) => {
  const port = await freePort();
  const server = await serveMetrics({ host: "127.0.0.1", port }, oneUp);
  t.after(() => server.close());
  const ask = (host: string) =>
    new Promise((resolve, reject) => {
      request({ host: "127.0.0.1", port, path: "/metrics", headers: { host }, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on("error", reject)
        .end();
    });
  assert.equal(await ask(`127.0.0.1:${port}`), 200);
  assert.equal(await ask(`localhost:${port}`), 200);
  assert.equal(await ask(`rebound.example:${port}`), 421);
});

/** A port of 127.0.0.1 that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("the path of a killed listener is taken over, that of a living one is not, and no other file", async (t) => {
  const { path, server } = await served(t, oneUp);
  await assert.rejects(serveMetrics({ path }, oneUp), /another program listens there/);
  await server.close();
  writeFileSync(path, "");
  await assert.rejects(serveMetrics({ path }, oneUp), /no socket of this user/);
  assert.equal(readFileSync(path, "utf8"), "");
});

test("a path that cannot be listened at is told by what is wrong with it", needsRoot(), async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o777);
  const plain = join(folder, "plain");
  writeFileSync(plain, "");
  const refused = (path: string): string => softnet(["metrics", "--listen", `unix:${path}`]).stderr; // as nobody, which it becomes
  assert.match(
    refused(plain),
    /^softnet: --listen unix:\S+plain: exists already, and is no socket of this user's[^\n]*\n$/,
  );
  assert.match(refused(join(folder, "none", "x")), /^softnet: --listen unix:\S+: there is no such folder[^\n]*\n$/);
  assert.match(refused("/etc/softnet-metrics"), /: this user may not listen there: choose a folder of its own/);
  assert.deepEqual(readdirSync(folder), ["plain"]);
});
