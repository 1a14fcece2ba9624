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

async function scene(lab: Lab): Promise<Scene> {
  const directory = join(lab.directory, "passt");
  mkdirSync(directory);
  chmodSync(directory, 0o777); // passt gives up being root first
  const socket = join(directory, "socket");
  const passt = lab.start(lab.host, "passt", ["-f", "-e", "-s", socket, "-m", "1500", "-4", "-D", INTERNET]);
  await passt.line(/UNIX domain socket bound/);
  const args = ["--vm-tap", "vm0", "--vm-mac-address", MAC, "--host-socket", socket];
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
  assert.ok(await guest.ping(bound.router), "the gateway does not answer");
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
