/** NAT beside what else is on the host: other firewalls, forwarding, processes that are killed. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { lease } from "./harness/clients.ts";
import { ping } from "./harness/guest.ts";
import { asBefore, helperOf, hostState, natGuest, started, tapOf } from "./harness/nat.ts";
import { ask, hasLogged, listen, NEEDS, openLab, PING_LENGTH, refusal, UPLINK } from "./harness/nat-scenes.ts";
import { until } from "./harness/program.ts";
import { Softnet, softnetCommand } from "./harness/softnet.ts";
import { GATEWAY, INTERNET, INTERNET_2, type Lab, NAME_ADDRESS, NEIGHBOUR, tool } from "./harness/topology.ts";
import type { Watch } from "./harness/watch.ts";

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number);
}

/** A guest with traffic that must not leave untranslated. */
async function flooding(lab: Lab) {
  const uplink = await lab.watch(lab.internet, "up0");
  const guest = await natGuest(lab, ["--expose", "2222:22"]);
  const { address } = await lease(guest);
  const flood = guest.start("ping", ["-f", "-s", "1000", INTERNET]);
  await until("traffic", () => uplink.count(({ ip }) => ip?.source === UPLINK) > 50);
  return { guest, uplink, address, flood };
}

/** Asserts that nothing left under the VM's own address. */
async function assertTranslated(lab: Lab, uplink: Watch, address: string): Promise<void> {
  // What the watcher saw before is told once it tells of this.
  assert.ok(await ping(lab.host, INTERNET));
  await uplink.until("a last frame", ({ ip, length }) => ip?.source === UPLINK && length === PING_LENGTH);
  const untranslated = uplink.count(({ ip }) => ip?.source === address);
  assert.equal(untranslated, 0, "frames left untranslated");
}

/** Settings as sysctl prints them, but for those of a TAP that has gone. */
function withoutTaps(settings: unknown): string {
  const lines = String(settings).split("\n");
  return lines.filter((line) => !/\.softnet\d+\./.test(line)).join("\n");
}

function isRunning(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

suite("nat and its host", { concurrency: 2 }, () => {
  test("Docker drops what is forwarded: one line with a command, and with that it works", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    const docker = [
      "add table ip filter",
      "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
      "add chain ip filter DOCKER-USER",
      "add rule ip filter FORWARD jump DOCKER-USER",
      'add rule ip filter FORWARD oifname "docker0" ct state established,related accept',
      'add rule ip filter FORWARD iifname "docker0" accept',
    ];
    await lab.host.run("nft", [docker.join("; ")]);
    const before = await hostState(lab.host);
    const message = await refusal(lab);
    assert.match(message, /^softnet: Docker drops [^\n]* FORWARD [^\n]*DOCKER-USER[^\n]*$/);
    await asBefore(lab.host, before);
    const command = /: ((?:nft|iptables) .*)$/.exec(message)![1]!;
    assert.equal((await lab.host.run("sh", ["-ec", command])).code, 0);
    const guest = await natGuest(lab);
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
  });

  test(
    "a firewall that forgets the clients of exposed ports: one line, and with its command they are answered",
    NEEDS,
    async (t) => {
      const lab = openLab(t, "1");
      const chain = [
        "add table inet site",
        "add chain inet site forward { type filter hook forward priority 0; policy drop; }",
        "add rule inet site forward ct state established,related accept",
        'add rule inet site forward iifname "softnet*" accept',
      ];
      await lab.host.run("nft", [chain.join("; ")]);
      const before = await hostState(lab.host);
      const online = await natGuest(lab);
      await lease(online);
      assert.ok(await online.ping(INTERNET), "without exposed ports it starts, and works");
      await online.stop();
      const message = await refusal(lab, "--expose", "2222:22");
      assert.match(
        message,
        /^softnet: nftables drops [^\n]*--expose \(chain forward of the table inet site\); [^\n]*$/,
      );
      await asBefore(lab.host, before);
      assert.equal((await lab.host.run("nft", [/nft '(.*)'$/.exec(message)![1]!])).code, 0);
      const guest = await natGuest(lab, ["--expose", "2222:22"]);
      const { address, router } = await lease(guest);
      await listen(lab, guest.namespace, address, 22);
      assert.equal(await ask(lab.neighbour, GATEWAY, 2222), router);
    },
  );

  test("forwarding was on: it stays on, and others are forwarded as before", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    const before = await hostState(lab.host);
    const guest = await natGuest(lab);
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
    assert.ok(await ping(lab.neighbour, INTERNET, 2));
    await guest.stop();
    await asBefore(lab.host, before);
  });

  test("forwarding was off: for others it stays off, and the last softnet turns it off", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const first = await natGuest(lab);
    const second = await natGuest(lab);
    await lease(second);
    assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
    await first.stop();
    assert.ok(await second.ping(INTERNET), "the second lost its forwarding");
    assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
    await second.stop();
    await asBefore(lab.host, before);
  });

  test("SIGKILL of softnet: the host is as it was, and nothing leaves untranslated", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const { guest, uplink, address, flood } = await flooding(lab);
    const helper = helperOf(lab.host)!;
    process.kill(guest.softnet!.program.pid, "SIGKILL");
    assert.deepEqual(await guest.softnet!.program.ended(), { code: null, signal: "SIGKILL" });
    await asBefore(lab.host, before);
    flood.kill();
    await until("the helper ends", () => !isRunning(helper));
    await assertTranslated(lab, uplink, address);
  });

  test(
    "SIGKILL of the helper: the VM goes on behind its rules, is told of, and the next softnet cleans up",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      const before = await hostState(lab.host);
      const { guest, uplink, address, flood } = await flooding(lab);
      process.kill(helperOf(lab.host)!, "SIGKILL");
      await until("softnet tells", () => hasLogged(guest, /helper has ended: the VM's rules .* stand/));
      flood.kill();
      assert.ok(await guest.ping(INTERNET), "the VM is offline");
      assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
      const second = await natGuest(lab);
      await lease(second);
      assert.ok(await second.ping(INTERNET));
      assert.ok(await guest.ping(INTERNET), "a new helper cut the first VM off");
      await guest.stop();
      assert.ok(await second.ping(INTERNET));
      await second.stop();
      await asBefore(lab.host, before);
      await assertTranslated(lab, uplink, address);
    },
  );

  test(
    "SIGKILL of softnet and the helper at once: no router is left, and the next softnet puts the rest back",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      const before = await hostState(lab.host);
      const { guest, uplink, address, flood } = await flooding(lab);
      const helper = helperOf(lab.host)!;
      for (const pid of [helper, guest.softnet!.program.pid]) process.kill(pid, "SIGKILL");
      await guest.softnet!.program.ended();
      flood.kill();
      await until("its TAP is gone", () => !lab.host.hasLink(tapOf(guest)));
      await assertTranslated(lab, uplink, address);
      assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
      await (await natGuest(lab)).stop();
      await asBefore(lab.host, before);
    },
  );

  test("H1 SIGTERM to all processes at once, as a service manager does: the host is as it was", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const guest = await natGuest(lab);
    for (const pid of [helperOf(lab.host)!, guest.softnet!.program.pid]) process.kill(pid, "SIGTERM");
    assert.deepEqual((await guest.softnet!.ended()).exit, { code: 0, signal: null });
    await asBefore(lab.host, before);
    await until("the helper ends", () => helperOf(lab.host) === undefined);
  });

  test(
    "H10 a program that turns forwarding on later keeps it, and its guests are forwarded at once",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      const guest = await natGuest(lab);
      assert.equal(await ping(lab.neighbour, INTERNET, 2), false);
      lab.host.sysctl({ "net/ipv4/ip_forward": "1" }); // as Docker and libvirt do
      const before = await hostState(lab.host);
      await until("others are forwarded", async () => await ping(lab.neighbour, INTERNET, 2));
      await until("softnet tells", () => hasLogged(guest, /another program turned ip_forward on/));
      await lease(guest);
      assert.ok(await guest.ping(INTERNET));
      await guest.stop();
      assert.ok(await ping(lab.neighbour, INTERNET, 2), "forwarding was taken away");
      assert.equal((await hostState(lab.host)).settings, withoutTaps(before.settings));
    },
  );

  test(
    "H21 forwarding that another program turns off, and an address that it takes away, are there again",
    NEEDS,
    async (t) => {
      const lab = openLab(t, "1");
      const guest = await natGuest(lab);
      await lease(guest);
      lab.host.sysctl({ "net/ipv4/ip_forward": "0" });
      await until("the VM is online again", async () => await guest.ping(INTERNET));
      assert.equal(await ping(lab.neighbour, INTERNET, 2), false, "the host routes for others");
      assert.ok(hasLogged(guest, /turned forwarding off/));
      lab.host.ip("address", "flush", "dev", tapOf(guest));
      await until("the VM is online again", async () => await guest.ping(INTERNET));
      assert.ok(hasLogged(guest, /was gone: it is there again/));
    },
  );

  test("H13 an uplink whose own forwarding is off: the VM is online, others are not", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    lab.host.sysctl({ "net/ipv4/conf/up0/forwarding": "0", "net/ipv4/conf/default/forwarding": "0" });
    const before = await hostState(lab.host);
    const guest = await natGuest(lab);
    await lease(guest);
    assert.ok(await guest.ping(INTERNET));
    await guest.stop();
    await asBefore(lab.host, before);
  });

  test(
    "H6 of the host's addresses a VM reaches its gateway's, and others where a rule opens them",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      await listen(lab, lab.host, "0.0.0.0", 99);
      const closed = await natGuest(lab, ["--block", "@host"]);
      const { router } = await lease(closed);
      for (const address of [UPLINK, GATEWAY, router]) assert.match(await ask(closed.namespace, address, 99), /^no:/);
      const plain = await natGuest(lab);
      const bound = await lease(plain);
      assert.equal(await ask(plain.namespace, bound.router, 99), bound.address);
      assert.match(await ask(plain.namespace, UPLINK, 99), /^no:/);
      const open = await natGuest(lab, ["--allow", `${UPLINK}/32`]);
      const opened = await lease(open);
      assert.equal(await ask(open.namespace, UPLINK, 99), opened.address);
      assert.match(await ask(open.namespace, GATEWAY, 99), /^no:/);
    },
  );

  test("H6 a DNS server on another address of the host's answers, and nothing else there does", NEEDS, async (t) => {
    const lab = openLab(t);
    const dns = lab.start(lab.host, process.execPath, [tool("services.ts"), "--http", GATEWAY, "--dns", GATEWAY]);
    await dns.line(/^ready$/);
    const guest = await natGuest(lab, [], GATEWAY);
    await lease(guest);
    assert.equal(await guest.resolve(GATEWAY, "udp"), NAME_ADDRESS);
    assert.match(await ask(guest.namespace, GATEWAY, 80), /^no:/);
  });

  test("H8 a machine beside the uplink cannot speak in the VM's name", NEEDS, async (t) => {
    const lab = openLab(t, "1");
    lab.host.sysctl({ "net/ipv4/conf/up0/rp_filter": "0", "net/ipv4/conf/all/rp_filter": "0" });
    const guest = await natGuest(lab);
    const { address, router } = await lease(guest);
    const inside = await lab.watch(lab.neighbour, "nb0");
    lab.internet.ip("address", "add", `${address}/32`, "dev", "lo");
    for (const to of [NEIGHBOUR, router]) await lab.internet.run("ping", ["-c", "1", "-W", "1", "-I", address, to]);
    assert.ok(await ping(lab.internet, NEIGHBOUR, 2), "nothing of the internet's arrives at all");
    assert.equal(
      inside.count(({ ip }) => ip?.source === address),
      0,
      "a frame in the VM's name arrived",
    );
  });

  test(
    "H11 nat started again under a running VM: the same subnet, and the VM goes on without asking",
    NEEDS,
    async (t) => {
      const lab = openLab(t);
      const guest = await natGuest(lab);
      await lease(guest);
      const network = started(guest).network;
      const { pid } = guest.softnet!.program;
      process.kill(pid, "SIGKILL");
      await guest.softnet!.program.ended();
      const args = ["--vm-tap", "again0", "--vm-mac-address", guest.mac, "--dns", INTERNET];
      const again = Softnet.start(lab, lab.host, args);
      await again.ready();
      const record = again.records.find(({ message }) => message === "started");
      assert.equal(record?.network, network);
      assert.ok(again.records.some(({ message }) => message === "binding restored"));
    },
  );

  test("Ctrl-C to the process group: in order, exit 0", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const args = softnetCommand(["--vm-tap", "cc0", "--vm-mac-address", "7e:1a:00:00:02:01", "--dns", INTERNET]);
    const program = lab.start(lab.host, "setsid", args, { label: "softnet" });
    await program.line(/started/);
    process.kill(-program.pid, "SIGINT"); // setsid(1): it leads its group
    assert.deepEqual(await program.ended(), { code: 0, signal: null });
    await asBefore(lab.host, before);
  });

  test("the helper is not root, has one capability, and a session of its own; one serves all", NEEDS, async (t) => {
    const lab = openLab(t);
    const guest = await natGuest(lab);
    const helper = helperOf(lab.host)!;
    for (const thread of readdirSync(`/proc/${helper}/task`)) {
      const status = readFileSync(`/proc/${helper}/task/${thread}/status`, "utf8");
      assert.doesNotMatch(status, /^[UG]id:.*\b0\b/m);
      const wanted = Number(thread) === helper ? "0000000000001000" : "0000000000000000";
      for (const set of ["Prm", "Eff"]) assert.match(status, new RegExp(`^Cap${set}:\t${wanted}$`, "m"));
    }
    const status = readFileSync(`/proc/${helper}/status`, "utf8");
    assert.match(status, /^CapBnd:\t0000000000001000$/m);
    assert.match(status, /^NoNewPrivs:\t1$/m);
    const [, session] = /\) \S+ \d+ \d+ (\d+)/.exec(readFileSync(`/proc/${helper}/stat`, "utf8"))!;
    assert.equal(Number(session), helper);
    await natGuest(lab);
    assert.equal(helperOf(lab.host), helper);
    assert.deepEqual(
      childrenOf(guest.softnet!.program.pid).filter((pid) => pid !== helper),
      [],
    );
  });

  test("four starts at the same instant: four subnets, all online, and forwarding goes back", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const guests = await Promise.all([1, 2, 3, 4].map(() => natGuest(lab)));
    assert.equal(new Set(guests.map((guest) => started(guest).network)).size, 4);
    for (const guest of guests) await lease(guest);
    for (const guest of guests) assert.ok(await guest.ping(INTERNET_2, 2));
    await Promise.all(guests.map((guest) => guest.stop()));
    await asBefore(lab.host, before);
  });

  test("a TAP that is deleted under it: exit 1, with nothing left behind", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const guest = await natGuest(lab);
    lab.host.ip("link", "delete", tapOf(guest));
    assert.equal((await guest.softnet!.ended()).exit.code, 1);
    await asBefore(lab.host, before);
  });

  test("bad values are one line, and leave nothing", NEEDS, async (t) => {
    const lab = openLab(t);
    const before = await hostState(lab.host);
    const wrong = [
      ["--subnet", "10.77.0.8/30"],
      ["--subnet", "10.1.1.1/30"],
      ["--dns", "127.0.0.53"],
      ["--expose", "22"],
      ["--vm-net-type", "host", "--expose", "2222:22"],
      ["--vm-net-type", "host", "--bridge", "br0"],
      ["--bridge", "br0", "--subnet", "10.1.1.0/30"],
      ["--subnet", "10.1.1.0/30", "--vm-ip-address", "10.1.1.1"],
    ];
    for (const args of wrong) assert.match(await refusal(lab, ...args), /^softnet: --[^\n]*$/, args.join(" "));
    await asBefore(lab.host, before);
  });
});
