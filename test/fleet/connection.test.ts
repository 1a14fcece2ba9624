/** How `softnet fleet` connects: what is written wrong is told at once, and TLS that was asked for is never left out. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connectToFleet } from "../../src/fleet/connection.ts";
import { prepareState } from "../../src/fleet/kept-documents.ts";
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

test("what an operator writes wrong is one line with the value and the remedy, and changes nothing", {
  ...needs("nats-server"),
  ...LIMIT,
}, async (t) => {
  const [server] = await natsServers(t, 1, "authorization { user: admin, password: admin }");
  const folder = temporaryFolder(t);
  const login = join(folder, "login");
  writeFileSync(login, "admin:admin\n");
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const as = ["--nats", server!.url, "--login", login];
  assert.match(
    softnet(["fleet", "init", "--replicas", "3", ...as]).stderr,
    /^softnet: the buckets cannot be made: [^\n]*cluster of so many servers as --replicas says\n$/,
  );
  const init = softnet(["fleet", "init", ...as]);
  assert.deepEqual(init, { status: 0, stdout: "", stderr: "" });
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["list", "--host", "a b"], /--host "a b" is no name: give/],
    [["list", "--label", "a b"], /--label "a b" is no name: give/],
    [["watch", "--label", "a b"], /--label "a b" is no name: give/],
    [["init", "--replicas", "2"], /--replicas "2" is not known: give 1.*3.*5/],
    [["init", "--replicas", "3"], /--replicas 3: the bucket softnet_policy is there already, on 1; /],
    [["status", "none"], /none: no agent has told of a VM of this name/],
    [["status", "a/b/c"], /"a\/b\/c" is no VM: give NAME or HOST\/NAME/],
    [["explain", "none", "out"], /explain needs in or out/],
    [["get", "web"], /"web" is no document: give all, host NAME/],
    [["get", "group", "web"], /no document group web; fleet list/],
    [["set", "group", "web"], /needs --file PATH, or --delete/],
    [["set", "group", "web", "--file", folder], /--file \S+ cannot be read \(EISDIR\)/],
    [["set", "group", "web", "--file", file("text", "block all")], /--file \S+text: .*no JSON; give/],
    [["set", "group", "web", "--file", file("key", '{"deny":[]}')], /"deny" is not known; give allow, block/],
    [["set", "group", "web", "--file", file("rule", '{"block":["10.0.0.1"]}')], /--file \S+rule: .*10\.0\.0\.1/],
    [
      ["set", "group", "web", "--file", file("limit", '{"limits":["out 1X/s"]}')],
      /limit "out 1X\/s" is not possible: give/,
    ],
    [
      ["set", "group", "web", "--file", file("ok", "{}"), "--revision", "7"],
      /^softnet: group web: revision 7 was to be replaced/,
    ],
  ];
  for (const [args, words] of cases) {
    const { status, stdout, stderr } = softnet(["fleet", ...args, ...as]);
    assert.deepEqual([status, stdout], [1, ""], `${args}`);
    assert.match(stderr, /^softnet: [^\n]+\n$/, `${args}`);
    assert.match(stderr, words, `${args}`);
  }
  assert.match(softnet(["fleet", "get", "group", "web", ...as]).stderr, /no document group web/);
});

test("an agent whose state folder cannot be used does not begin; one that is missing is made", LIMIT, (t) => {
  const folder = temporaryFolder(t);
  const plain = join(folder, "plain");
  writeFileSync(plain, "");
  const state = (path: string) =>
    softnet(["fleet", "agent", "--nats", "nats://127.0.0.1:1", "--host", "h1", "--state", path]);
  for (const path of [plain, join(plain, "x"), join(folder, "none", "x"), "/proc/none/x"]) {
    const { status, stderr } = state(path);
    assert.equal(status, 1, path);
    assert.match(
      stderr,
      new RegExp(`^softnet: --state ${path} cannot be written to [^\\n]*: give a folder of this user's own\\n$`),
    );
  }
  assert.deepEqual(readdirSync(folder), ["plain"]);
  prepareState(join(folder, "new"));
  assert.equal(statSync(join(folder, "new")).mode & 0o777, 0o700);
});
