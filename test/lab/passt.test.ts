/** softnet between a guest and passt, which serves DHCP, DNS and TCP from an ordinary process: `--host-socket`. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { LIMIT } from "../support/patience.ts";
import { lease } from "./harness/clients.ts";
import { Guest } from "./harness/guest.ts";
import type { Program } from "./harness/program.ts";
import { assertDropped, assertInnocent, Softnet } from "./harness/softnet.ts";
import { INTERNET, Lab, labNeeds, NAME_ADDRESS } from "./harness/topology.ts";

const MAC = "7e:1a:00:00:00:01";

interface Scene {
  readonly guest: Guest;
  readonly softnet: Softnet;
  readonly passt: Program;
}

interface Options {
  readonly passt: readonly string[];
  readonly softnet: readonly string[];
}

/** As README and docs/qemu.md start them. */
const DOCUMENTED: Options = { passt: ["--no-map-gw"], softnet: ["--block", "@host", "--allow", "@dns:53"] };

async function scene(lab: Lab, options = DOCUMENTED): Promise<Scene> {
  const directory = join(lab.directory, "passt");
  mkdirSync(directory);
  chmodSync(directory, 0o777); // passt gives up being root first
  const socket = join(directory, "socket");
  const passt = lab.start(lab.host, "passt", [
    "-f",
    "-e",
    "-s",
    socket,
    "-m",
    "1500",
    "-4",
    "-D",
    INTERNET,
    ...options.passt,
  ]);
  await passt.line(/UNIX domain socket bound/);
  const args = ["--vm-tap", "vm0", "--vm-mac-address", MAC, "--host-socket", socket, ...options.softnet];
  const softnet = Softnet.start(lab, lab.host, args);
  await softnet.ready();
  const guest = Guest.at(lab, lab.namespace("guest"), "vm0", MAC, softnet);
  lab.host.ip("link", "set", "vm0", "netns", guest.namespace.name);
  guest.namespace.ip("link", "set", "vm0", "up");
  return { guest, softnet, passt };
}

test("behind passt: lease, ping, DNS and a TCP download", { ...labNeeds("passt", "udhcpc"), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  await lab.services();
  const { guest, softnet } = await scene(lab);
  const bound = await lease(guest);
  assert.equal(bound.dns, INTERNET);
  assert.ok(await guest.ping(INTERNET), "the internet does not answer");
  assert.equal(await guest.resolve(INTERNET), NAME_ADDRESS);
  assert.equal(await guest.download(8 << 20), 8 << 20);
  assertInnocent(await softnet.stop());
});

test("behind passt: a spoofed source address is dropped", { ...labNeeds("passt", "udhcpc"), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const { guest, softnet } = await scene(lab);
  await lease(guest);
  assert.ok(await guest.ping(INTERNET)); // so that the gateway's MAC address is known
  guest.namespace.ip("address", "add", "10.77.0.77/32", "dev", "vm0");
  await guest.namespace.run("ping", ["-c", "2", "-i", "0.2", "-W", "1", "-I", "10.77.0.77", INTERNET]);
  assertDropped(await softnet.stop(), "ipv4.source");
});

test("passt ends: exit 1 with the socket's name", { ...labNeeds("passt"), ...LIMIT }, async (t) => {
  const lab = Lab.open(t);
  const { softnet, passt } = await scene(lab);
  passt.kill();
  const { exit } = await softnet.ended();
  assert.equal(exit.code, 1);
  const errors = softnet.records.filter(({ level }) => level === "error");
  assert.equal(errors.length, 1);
  assert.match(String(errors[0]!.message), /--host-socket/);
});

/** Serves a word on 127.0.0.1, as many a development server does that trusts whoever reaches it. */
const SERVER = `
import socket
server = socket.create_server(("127.0.0.1", 8080))
print("listens")
while True:
    connection, _ = server.accept()
    connection.sendall(b"secret")
    connection.close()
`;

const ASK = `
import socket, sys
try:
    print(socket.create_connection((sys.argv[1], 8080), 5).recv(100).decode())
except OSError as error:
    print(error)
`;

for (const [name, options, reached, reason] of [
  ["neither of the documented options: open, and said so", { passt: [], softnet: [] }, /^secret$/, undefined],
  ["passt's --no-map-gw: closed", { ...DOCUMENTED, softnet: [] }, /timed out|refused|unreachable/, undefined],
  ["softnet's --block @host: closed", { ...DOCUMENTED, passt: [] }, /timed out/, "policy.block"],
] as const) {
  test(`G20 the host's 127.0.0.1 behind passt, with ${name}`, {
    ...labNeeds("passt", "udhcpc"),
    ...LIMIT,
  }, async (t) => {
    const lab = Lab.open(t);
    lab.host.ip("link", "set", "lo", "up");
    const server = lab.start(lab.host, "python3", ["-u", "-c", SERVER]);
    await server.line(/listens/);
    const { guest, softnet } = await scene(lab, options);
    const { router } = await lease(guest);
    const { stdout } = await guest.namespace.run("python3", ["-c", ASK, router]);
    assert.match(stdout.trim(), reached);
    const told = softnet.records.filter(({ message }) => /127\.0\.0\.1/.test(String(message)));
    assert.equal(told.length, options.softnet.length === 0 ? 1 : 0);
    const summary = await softnet.stop();
    if (reason !== undefined) assertDropped(summary, reason);
  });
}
