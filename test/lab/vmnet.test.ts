/**
 * softnet as on a Mac, from end to end: a guest behind Darwin's datagram port, the guard, and vmnet, whose stand-in is
 * attached to a bridge with a real DHCP server and a router to the lab's internet. macOS 26, 15 and 13 as far as they
 * differ: batches or single frames, private networks, packet limits.
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { formatIPv4, parseIPv4, parseMac } from "../../src/wire/address.ts";
import { emitArp } from "../../src/wire/arp.ts";
import { emitDhcp } from "../../src/wire/dhcp.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { LIMIT } from "../support/patience.ts";
import type { Tool } from "../support/tools.ts";
import { needsTwin, twinLibraries } from "../twin/build.ts";
import { Cable, type CableOptions } from "./harness/cable.ts";
import { lease, udhcpc } from "./harness/clients.ts";
import { ControlPath, setPolicy } from "./harness/control.ts";
import { Guest } from "./harness/guest.ts";
import { sleep, until } from "./harness/program.ts";
import { DhcpServer } from "./harness/servers.ts";
import { assertDropped, assertInnocent } from "./harness/softnet.ts";
import { INTERNET, Lab, labNeeds, tool } from "./harness/topology.ts";
import type { TwinSettings } from "./tools/softnet-on-twin.ts";

const MAC = "7e:1a:00:00:00:01";
/** As macOS calls it. */
const BRIDGE = "bridge100";
const TAP = "vmenet0";
const MEGABYTE = 1 << 20;

interface Mac {
  readonly lab: Lab;
  readonly cable: Cable;
  readonly folder: string;
}

let folders = 0;

function options(...tools: readonly Tool[]) {
  return { ...labNeeds("udhcpc", ...tools), ...needsTwin(), ...LIMIT };
}

/** Starts softnet with its vmnet interface as the TAP `vmenet0` on the lab's host. */
async function start(t: TestContext, settings: Partial<TwinSettings>, ...args: readonly string[]): Promise<Mac> {
  return await startIn(Lab.open(t), { vm: true, keep: true }, settings, args);
}

/** The same with the ends that a launcher gives it, in a lab that is open. */
async function startIn(
  lab: Lab,
  ends: CableOptions,
  settings: Partial<TwinSettings>,
  args: readonly string[],
  vmSide: readonly string[] = ["--vm-fd", "{vm}"],
): Promise<Mac> {
  twinLibraries({ macos: settings.macos ?? 26 }); // built before softnet is waited for
  const folder = join(lab.directory, `mac-${++folders}`);
  mkdirSync(folder);
  chmodSync(folder, 0o777);
  const twin = JSON.stringify({ tap: TAP, folder, ...settings });
  const program = [process.execPath, tool("softnet-on-twin.ts"), twin];
  const given = [...vmSide, "--vm-mac-address", MAC, ...args];
  const cable = Cable.start(lab, lab.host, given, { ...ends, program });
  return { lab, cable, folder };
}

/** The system's shared or host-only network: a bridge with the gateway's address and a DHCP server. */
async function share({ lab, cable }: Mac, network: string): Promise<DhcpServer> {
  lab.host.ipBatch([
    `link add ${BRIDGE} type bridge forward_delay 0 stp_state 0`,
    `address add ${network}.1/24 dev ${BRIDGE}`,
    `link set ${BRIDGE} up`,
  ]);
  const server = await DhcpServer.start(lab, "dnsmasq", {
    link: BRIDGE,
    network,
    dns: `${network}.1`,
    first: 2,
    last: 60,
  });
  await cable.softnet.ready();
  lab.host.ip("link", "set", TAP, "master", BRIDGE, "up");
  return server;
}

/** Puts a guest with the card `vm0` at the far end of softnet's `--vm-fd`. */
async function guestAt({ lab, cable }: Mac): Promise<Guest> {
  const guest = Guest.at(lab, lab.namespace("guest"), "vm0", MAC, cable.softnet);
  const inside = ["ip", "netns", "exec", guest.namespace.name, "/usr/bin/python3"];
  await cable.run("guest", [...inside, tool("tapfd.py"), "vm0", MAC, "{vm}"]);
  await until("the guest's card", () => guest.namespace.hasLink("vm0"));
  return guest;
}

const startedBy = ({ cable }: Mac) => cable.softnet.records.find(({ message }) => message === "started")!;

test(
  "nat: lease from a real server, ping, TCP; a spoofed address is dropped; nothing is left at the end",
  options("dnsmasq"),
  async (t) => {
    const mac = await start(t, {}, "--expose", "2222:22");
    const dnsmasq = await share(mac, "192.168.64");
    const { lab, cable, folder } = mac;
    const { vm, network, privileges, gateway, isolated } = startedBy(mac);
    assert.deepEqual(
      { network, gateway, isolated, vm: /^--vm-fd \d+$/.test(String(vm)) },
      { network: "vmnet nat 192.168.64.0/24", gateway: "192.168.64.1", isolated: true, vm: true },
    );
    assert.match(String(privileges), /^user nobody, group nogroup$/);
    const guest = await guestAt(mac);
    await lab.services();
    const client = udhcpc(guest);
    const { address, server } = await client.event(/bound/);
    assert.match(address, /^192\.168\.64\./);
    assert.equal(server, "192.168.64.1");
    const rules = [{ protocol: 6, externalPort: 2222, internalAddress: address, internalPort: 22 }];
    await until("the exposed port", () => readFileSync(join(folder, "rules"), "utf8") === JSON.stringify(rules));
    assert.ok(await guest.ping("192.168.64.1"), "the gateway answers");
    assert.ok(await guest.ping(INTERNET), "the internet answers");
    assert.equal(await guest.download(8 * MEGABYTE), 8 * MEGABYTE);
    guest.namespace.ip("address", "add", "192.168.64.77/24", "dev", guest.link);
    await guest.namespace.run("ping", ["-c", "2", "-i", "0.2", "-W", "1", "-I", "192.168.64.77", INTERNET]);
    client.program.kill();

    const summary = await cable.softnet.stop();
    assert.deepEqual(summary.exit, { code: 0, signal: null }, cable.softnet.program.text());
    assertDropped(summary, "ipv4.source");
    await dnsmasq.program.line(new RegExp(`DHCPRELEASE\\(${BRIDGE}\\) ${address} ${MAC}`));
    assert.ok(!lab.host.hasLink(TAP), "the interface is gone");
    const plist = readFileSync(join(folder, "com.apple.InternetSharing.default.plist"), "utf8");
    assert.match(plist, /<key>DHCPLeaseTimeSecs<\/key>\s*<integer>600<\/integer>/);
    const syslog = readFileSync(join(folder, "syslog"), "utf8");
    assert.match(syslog, /^softnet\[3\.5\] \{"time":.*"message":"started"/m);
    assert.match(syslog, /"message":"binding learned"/);
  },
);

for (const [kernel, settings] of [
  ["macOS 15.0: packet limits, frames received one by one", { macos: 15, release: "24.0.0" }],
  ["macOS 13: no packet limits, frames one by one", { macos: 14, release: "22.6.0" }],
] as const) {
  test(`${kernel}: lease, ping, TCP`, options("dnsmasq"), async (t) => {
    const mac = await start(t, settings);
    await share(mac, "192.168.64");
    const guest = await guestAt(mac);
    await mac.lab.services();
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
    assert.equal(await guest.download(2 * MEGABYTE), 2 * MEGABYTE);
    assertInnocent(await mac.cable.softnet.stop());
  });
}

test("host: lease and the gateway, over vmnet's host-only network", options("dnsmasq"), async (t) => {
  const mac = await start(t, {}, "--vm-net-type", "host");
  await share(mac, "192.168.128");
  assert.equal(startedBy(mac).network, "vmnet host 192.168.128.0/24");
  const guest = await guestAt(mac);
  await lease(guest);
  assert.ok(await guest.ping("192.168.128.1"));
  assertInnocent(await mac.cable.softnet.stop());
});

test(
  "private: softnet itself serves the address of a /30, and the VM reaches gateway and internet",
  options(),
  async (t) => {
    const mac = await start(t, {}, "--vm-net-type", "private", "--expose", "2222:22");
    const { lab, cable } = mac;
    await cable.softnet.ready();
    const { network, gateway, "dhcp-server": dhcpServer } = startedBy(mac);
    assert.match(String(network), /^private [\d.]+\/30$/);
    assert.equal(dhcpServer, gateway);
    lab.host.ipBatch([`address add ${gateway}/30 dev ${TAP}`, `link set ${TAP} up`]);
    const guest = await guestAt(mac);
    await lab.services();
    const bound = await lease(guest);
    assert.equal(bound.server, gateway);
    assert.equal(bound.dns, gateway);
    assert.equal(bound.lease, 0xffffffff);
    assert.ok(await guest.ping(String(gateway)), "the gateway answers");
    assert.ok(await guest.ping(INTERNET), "the internet answers");
    assert.equal(await guest.download(4 * MEGABYTE), 4 * MEGABYTE);
    assertInnocent(await cable.softnet.stop());
  },
);

test(
  "full buffers on both sides, partial batches, storms of events: TCP still brings every byte",
  options("dnsmasq"),
  async (t) => {
    const inject = {
      // Asked about once a millisecond: some frames are given up, but not all eight DISCOVERs on a slow machine.
      "write exhausted": 100,
      "send full": 100,
      "write cap": 7,
      "read cap": 5,
      "send cap": 3,
      "empty every": 1,
    };
    const mac = await start(t, { inject });
    await share(mac, "192.168.64");
    const guest = await guestAt(mac);
    await mac.lab.services();
    await lease(guest);
    assert.equal(await guest.download(4 * MEGABYTE), 4 * MEGABYTE);
    assertInnocent(await mac.cable.softnet.stop());
  },
);

test("a vmnet whose frames may be longer than its MTU says has room for them", options("dnsmasq"), async (t) => {
  const mac = await start(t, { inject: { "max packet size": 9014 } });
  await share(mac, "192.168.64");
  const guest = await guestAt(mac);
  await mac.lab.services();
  await lease(guest);
  assert.ok(await guest.ping(INTERNET));
  assertInnocent(await mac.cable.softnet.stop());
});

test(
  "--vm-socket: a hypervisor that connects again finds its network and its address as they were",
  options(),
  async (t) => {
    const lab = Lab.open(t);
    const folder = join(lab.directory, "sockets");
    mkdirSync(folder);
    chmodSync(folder, 0o777); // softnet makes it as nobody
    const path = join(folder, "vm.sock");
    const args = ["--vm-net-type", "private", "--vm-reconnect"];
    const mac = await startIn(lab, {}, {}, args, ["--vm-socket", path]);
    const { softnet } = mac.cable;
    await until("softnet waits", () => softnet.records.find(({ message }) => message === "waiting for the VM"));
    const gateway = parseIPv4(String(startedBy(mac).gateway))!;
    lab.host.ipBatch([`address add ${formatIPv4(gateway)}/30 dev ${TAP}`, `link set ${TAP} up`]);
    const card = parseMac(MAC)!;
    const request = emitUdp(
      { source: 0, destination: 0xffffffff, sourcePort: 68, destinationPort: 67 },
      emitDhcp({
        op: 1,
        xid: 7,
        chaddr: card,
        options: [
          [53, Uint8Array.of(3)],
          [50, word(gateway + 1)],
        ],
      }),
    );
    const whereIs = emitArp({
      operation: 1,
      senderHardware: card,
      senderProtocol: gateway + 1,
      targetHardware: 0,
      targetProtocol: gateway,
    });
    // The first time it asks for its address, the second time it has it.
    for (const asks of [true, false]) {
      const vm = createConnection(path);
      t.after(() => vm.destroy());
      let answers = "";
      vm.on("data", (piece: Buffer) => {
        answers += piece.toString("hex");
      });
      const send = (type: number, payload: Uint8Array) => {
        const frame = emitEthernet(0xffffffffffff, card, type, payload);
        vm.write(Buffer.concat([word(frame.length), frame]));
      };
      if (asks) {
        send(0x0800, request);
        await until("the address", () => answers.includes("350105")); // DHCPACK
      }
      send(0x0806, whereIs);
      const reply = `0806000108000604000${2}`;
      await until("the gateway's answer", () => answers.includes(reply));
      vm.destroy();
      const gone = asks ? 1 : 2;
      const left = () =>
        softnet.records.filter(({ message }) => message === "VM has gone, waiting for it").length === gone;
      await until("softnet has noticed", left);
    }
    const { exit } = await softnet.stop();
    assert.deepEqual(exit, { code: 0, signal: null }, softnet.program.text());
    assert.ok(!existsSync(path));
  },
);

/** 32 bits in network order. */
function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

test("the VM goes away without a word while nothing moves: exit 0 within moments", options(), async (t) => {
  const mac = await start(t, {});
  const { cable, lab } = mac;
  await cable.softnet.ready();
  await sleep(300); // nothing happens in the meantime: that is the point
  cable.close("vm");
  const { exit } = await cable.softnet.ended();
  assert.deepEqual(exit, { code: 0, signal: null });
  assert.ok(!lab.host.hasLink(TAP));
});

test("a start that vmnet refuses is one line and exit 1, with nothing left", options(), async (t) => {
  const { cable, lab } = await start(t, { inject: { "start status": 1009 } });
  const { code } = await cable.ended("softnet");
  assert.equal(code, 1);
  const lines = cable.softnet.errors;
  assert.equal(lines.length, 1, lines.join("\n"));
  assert.match(
    lines[0]!,
    /^softnet: vmnet nat cannot be started: VMNET_SHARING_SERVICE_BUSY.*turn Internet Sharing off/,
  );
  assert.ok(!lab.host.hasLink(TAP));
});

test("private on macOS 15 names the types that it has", options(), async (t) => {
  const { cable } = await start(t, { macos: 15, release: "24.6.0" }, "--vm-net-type", "private");
  assert.equal((await cable.ended("softnet")).code, 1);
  assert.match(
    cable.softnet.errors.join("\n"),
    /needs macOS 26 or newer, and this is macOS 15\.6: give --vm-net-type nat/,
  );
});

test("a lease time that cannot be set is a warning, and the VM has its network", options("dnsmasq"), async (t) => {
  const mac = await start(t, { inject: { "commit status": 1001 } }, "--bootpd-lease-time", "300");
  await share(mac, "192.168.64");
  const warnings = mac.cable.softnet.records.filter(({ level }) => level === "warn");
  assert.match(String(warnings[0]?.message), /the lease time of macOS' DHCP server stays as it is/);
  const guest = await guestAt(mac);
  await lease(guest);
  assert.ok(!existsSync(join(mac.folder, "com.apple.InternetSharing.default.plist")));
  assertInnocent(await mac.cable.softnet.stop());
});

test(
  "the control channel as standard output, as Tart has it: get, set and status, and nothing else is ever written there",
  options("dnsmasq"),
  async (t) => {
    const args = ["--control-fd", "1", "--block", "@metadata", "--log-level", "debug", "--log-format", "json"];
    const mac = await startIn(Lab.open(t), { vm: true, control: "stdout" }, {}, args);
    await share(mac, "192.168.64");
    const { lab, cable } = mac;
    assert.equal(readlinkSync(`/proc/${await cable.pid("softnet")}/fd/1`), "/dev/null");
    const guest = await guestAt(mac);
    await lab.services();
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
    const ask = (id: number, method: string, params?: object) =>
      JSON.stringify({ jsonrpc: "2.0", id, method: `softnet.${method}`, ...(params && { params }) });
    const requests = [
      ask(1, "policy.get"),
      ask(2, "policy.set", { allow: ["@dns"], block: ["0.0.0.0/0"], desiredRevision: 7 }),
      ask(3, "policy.get"),
      ask(4, "status"),
    ];
    await cable.run("controller", ["/usr/bin/python3", tool("controller.py"), "{control}", ...requests]);
    await cable.line(/^asked$/);
    assert.ok(!(await guest.ping(INTERNET)), "the new policy is in force");
    const summary = await cable.softnet.stop();
    assert.deepEqual(summary.exit, { code: 0, signal: null }, cable.softnet.program.text());
    assertDropped(summary, "policy.block");
    await cable.line(/^end$/);
    const [get, set, changed, status, ...rest] = cable.printed.filter((line) => line !== "ready"); // the card's
    assert.deepEqual(rest, ["asked", "end"]);
    const result = (line: string | undefined) => JSON.parse(line!.replace(/^answer: /, "")).result;
    assert.deepEqual(result(get), { allow: [], block: ["@metadata"], ruleCount: 1 });
    const policy = { allow: ["@dns"], block: ["0.0.0.0/0"], ruleCount: 2 };
    assert.deepEqual(result(set), { ...policy, desiredRevision: 7 });
    assert.deepEqual(result(changed), policy);
    const { network, mac: address, binding } = result(status);
    assert.deepEqual({ network, address }, { network: "vmnet nat 192.168.64.0/24", address: MAC });
    assert.match(binding.address, /^192\.168\.64\./);
  },
);

test("--control-socket: 0600, of whom softnet has become, and gone with it", options(), async (t) => {
  const lab = Lab.open(t);
  const control = new ControlPath(lab);
  const { cable } = await startIn(lab, { vm: true, keep: true }, {}, control.options);
  await cable.softnet.ready();
  const { uid, mode } = lstatSync(control.path);
  assert.deepEqual([uid, mode & 0o777], [65_534, 0o600]);
  const clients = [await control.client(), await control.client()];
  t.after(() => {
    for (const client of clients) client.close();
  });
  await setPolicy(clients[0]!, ["10.0.0.0/8"]);
  assert.deepEqual(await clients[1]!.ask("softnet.policy.get"), { allow: ["10.0.0.0/8"], block: [], ruleCount: 1 });
  const { exit } = await cable.softnet.stop();
  assert.deepEqual(exit, { code: 0, signal: null }, cable.softnet.program.text());
  assert.ok(!existsSync(control.path));
});

test("a control descriptor that is no unix stream is refused before vmnet is asked", options(), async (t) => {
  const { cable, lab } = await start(t, {}, "--control-fd", "0");
  assert.equal((await cable.ended("softnet")).code, 1);
  assert.deepEqual(cable.softnet.errors.length, 1);
  assert.match(cable.softnet.errors[0]!, /^softnet: --control-fd 0: not a socket; pass a connected unix stream socket/);
  assert.ok(!lab.host.hasLink(TAP));
});
