/** How `softnet fleet` connects: what is written wrong is told at once, and TLS that was asked for is never left out. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connectToFleet } from "../../src/fleet/connection.ts";
import { parseServers } from "../../src/fleet/servers.ts";
import { softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { LIMIT } from "../support/patience.ts";
import { needs } from "../support/tools.ts";
import { natsServers } from "./nats.ts";

test("servers are hosts and ports, with or without a scheme; one that says tls:// makes it a must for all", () => {
  assert.deepEqual(parseServers("nats://n1:4222, n2,nats://[fd00::1]:4222/"), {
    servers: ["n1:4222", "n2", "[fd00::1]:4222"],
    tls: false,
  });
  assert.deepEqual(parseServers("tls://n1.example.com:4222"), { servers: ["n1.example.com:4222"], tls: true });
  assert.equal(parseServers("nats://n1,tls://n2").tls, true);
});

test("what is no server is named, but no password", () => {
  for (const text of [
    "",
    "nats://",
    "http://n1:4222",
    "ws://n1",
    "n1:0",
    "n1:65536",
    "n1:x",
    "a b",
    "n1,,n2",
    "n1/x",
  ]) {
    assert.throws(() => parseServers(text), /^UserError: --nats ".*" is no server: give nats:\/\/HOST:PORT/, text);
  }
  assert.throws(
    () => parseServers("nats://admin:secret@n1"),
    /^UserError: --nats: leave user and password out(?!.*secret)/,
  );
});

test("tls:// gives no password to a server without TLS, as somebody on the way could be", {
  ...needs("nats-server"),
  ...LIMIT,
}, async (t) => {
  const [server] = await natsServers(t, 1, "authorization { user: admin, password: secret }");
  const login = join(temporaryFolder(t), "login");
  writeFileSync(login, "admin:secret\n");
  const plain = await connectToFleet({ nats: server!.url, login }, "test");
  await plain.close();
  await assert.rejects(connectToFleet({ nats: server!.url.replace("nats:", "tls:"), login }, "test"), /'tls'/);
});

test("with TLS the server's certificate is checked, by --ca where it is given", {
  ...needs("nats-server", "openssl"),
  ...LIMIT,
}, async (t) => {
  const folder = temporaryFolder(t);
  const [key, ca] = [join(folder, "key.pem"), join(folder, "ca.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", ca];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject], { stdio: "ignore" });
  const [server] = await natsServers(t, 1, `tls { cert_file: "${ca}", key_file: "${key}" }`);
  const nats = server!.url.replace("nats://127.0.0.1", "tls://localhost"); // NATS' client compares names alone
  const connection = await connectToFleet({ nats, ca }, "test");
  await connection.close();
  await assert.rejects(connectToFleet({ nats }, "test"), /no connection \(.*self-signed certificate/);
});

test("a mistake is one line that names the file or the value, and the agent does not begin with one", LIMIT, (t) => {
  const folder = temporaryFolder(t);
  const [wrong, login, state] = [join(folder, "wrong"), join(folder, "login"), join(folder, "state")];
  writeFileSync(wrong, "garbage\n");
  writeFileSync(login, "admin:admin\n");
  mkdirSync(state);
  const nats = ["--nats", "nats://127.0.0.1:1"];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["--nats", "http://n1"], /--nats "http:\/\/n1" is no server/],
    [[...nats, "--creds", wrong], new RegExp(`--creds ${wrong}: it is no file of NATS credentials`)],
    [[...nats, "--login", wrong], new RegExp(`--login ${wrong}: it is not USER:PASSWORD`)],
    [[...nats, "--ca", wrong], new RegExp(`--ca ${wrong}: it is no certificate`)],
    [[...nats, "--login", login, "--creds", wrong], new RegExp(`--login ${login}: leave it out, or --creds ${wrong}`)],
  ];
  for (const [args, words] of cases) {
    for (const command of [["list"], ["agent", "--host", "h1", "--state", state]]) {
      const { status, stdout, stderr } = softnet(["fleet", ...command, ...args]);
      assert.deepEqual([status, stdout], [1, ""], `${command} ${args}`);
      assert.match(stderr, words);
      assert.match(stderr, /^softnet: [^\n]+\n$/);
    }
  }
});

test("who is refused is told which file said who this is", { ...needs("nats-server"), ...LIMIT }, async (t) => {
  const [server] = await natsServers(t, 1, "authorization { user: admin, password: secret }");
  const login = join(temporaryFolder(t), "login");
  writeFileSync(login, "admin:wrong\n");
  await assert.rejects(
    connectToFleet({ nats: server!.url, login }, "test"),
    new RegExp(`the user of --login ${login} is refused$`),
  );
  await assert.rejects(connectToFleet({ nats: server!.url }, "test"), /give --creds FILE or --login FILE$/);
});
