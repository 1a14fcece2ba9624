/**
 * What an ordinary user gets of a softnet that has root's rights, without a line in /etc/softnet.conf and with one: the
 * table of docs/privileges.md, through the SUID bit and through a rule in sudoers that is for softnet alone.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { LIMIT, PATIENCE } from "../support/patience.ts";
import type { Tool } from "../support/tools.ts";
import { Accounts, type AccountsOptions, ALICE, BOB, descendants, isHelper } from "./harness/accounts.ts";
import type { Cable } from "./harness/cable.ts";
import { lease } from "./harness/clients.ts";
import { natGuest } from "./harness/nat.ts";
import { type Program, until } from "./harness/program.ts";
import { Softnet } from "./harness/softnet.ts";
import { BRIDGE, Lab, labNeeds } from "./harness/topology.ts";

const MAC = "7e:1a:00:00:00:01";
const NAT = ["--vm-fd", "{vm}", "--vm-mac-address", MAC, "--dns", "9.9.9.9"];
const needs = (...tools: readonly Tool[]) => ({ ...labNeeds("nft", "sudo", ...tools), ...LIMIT });

type Way = "SUID" | "sudo";
const WAYS: readonly Way[] = ["SUID", "sudo"];

class Scene {
  readonly lab: Lab;
  readonly accounts: Accounts;
  readonly #way: Way;
  readonly #links: readonly string[];

  constructor(t: TestContext, way: Way, options: AccountsOptions = {}) {
    this.lab = Lab.open(t);
    const sudoers = `${ALICE.name} ALL=(root) NOPASSWD: {softnet}\n${BOB.name} ALL=(root) NOPASSWD: {softnet}`;
    this.accounts = new Accounts(this.lab, { ownRun: true, ...(way === "sudo" && { sudoers }), ...options });
    this.#way = way;
    this.#links = this.lab.host.links();
  }

  start(args: readonly string[], uid: number = ALICE.uid): Cable {
    return this.accounts.cable(args, this.#way === "SUID" ? { program: [this.accounts.suid], uid } : { uid });
  }

  /** Asserts one line on stderr, exit 1, and no interface more than before. */
  async refused(args: readonly string[], words: RegExp): Promise<void> {
    const links = this.lab.host.links();
    const cable = this.start(args);
    const { code } = await cable.ended("softnet", PATIENCE);
    const { stderr } = cable.softnet.program;
    const what = `${args.join(" ")}\n${cable.softnet.program.text()}`;
    assert.equal(code, 1, what);
    assert.equal(stderr.length, 1, what);
    assert.match(stderr[0]!, words, what);
    assert.deepEqual(this.lab.host.links(), links, what);
  }

  /** Asserts that it starts, and ends in order. */
  async granted(args: readonly string[]): Promise<void> {
    const cable = this.start(args);
    await cable.softnet.ready();
    await this.stop(cable);
    await until("its interfaces are gone", () => this.lab.host.links().length === this.#links.length);
  }

  async stop(cable: Cable): Promise<void> {
    process.kill(await cable.pid("softnet"), "SIGINT");
    assert.equal((await cable.ended("softnet", PATIENCE)).code, 0, cable.softnet.program.text());
  }

  /** Where somebody listens whom all may connect to. */
  async listen(t: TestContext, name: string): Promise<string> {
    const path = join(this.accounts.folder(name, ALICE.uid), "cable");
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen({ path, writableAll: true, readableAll: true }, resolve));
    t.after(() => server.close());
    return path;
  }
}

const line = (text: string): RegExp => new RegExp(text.replaceAll(/[.()*]/g, "\\$&"));
const write = (words: string): string => `let root write "${words} user ${ALICE.name}" into /etc/softnet.conf`;

for (const way of WAYS) {
  test(`${way}: --subnet is a private one with nothing of the host's in it, or needs a line`, needs(), async (t) => {
    const scene = new Scene(t, way, {
      resolvConf: "nameserver 10.200.0.2\nnameserver 8.8.8.8",
      conf: `allow-subnet 10.99.8.0/24 user ${ALICE.name}\nallow-subnet 10.99.9.0/24 user ${BOB.name}\nallow-subnet 8.8.8.0/29\n`,
    });
    scene.lab.host.ip("route", "add", "10.99.0.0/16", "via", "100.64.0.2");
    scene.lab.host.ip("route", "add", "default", "via", "10.201.0.1", "dev", "up0", "onlink", "metric", "500");
    const may = `user ${ALICE.name} may not ask for it`;
    for (const [subnet, why] of [
      ["8.8.4.4/30", "it is not private (RFC 1918)"],
      ["100.100.0.0/30", "it is not private (RFC 1918)"],
      ["10.77.0.8/30", "it overlaps 10.77.0.0/24, which this host has an address in or a route to"],
      ["10.99.1.0/30", "it overlaps 10.99.0.0/16, which this host has an address in or a route to"],
      ["10.99.9.0/30", "it overlaps 10.99.0.0/16, which this host has an address in or a route to"],
      ["10.200.0.0/30", "it contains 10.200.0.2, a DNS server of this host's"],
      ["10.201.0.0/30", "it contains 10.201.0.1, a gateway of this host's"],
    ] as const) {
      const remedy = `give another, or none, or ${write(`allow-subnet ${subnet}`)}`;
      await scene.refused([...NAT, "--subnet", subnet], line(`--subnet ${subnet}: ${may} (${why}); ${remedy}`));
    }
    for (const subnet of ["10.88.0.4/30", "10.99.8.4/30", "8.8.8.4/30"]) {
      await scene.granted([...NAT, "--subnet", subnet]);
    }
    await scene.granted([...NAT.slice(0, 4), "--vm-net-type", "host", "--subnet", "10.88.0.4/30"]);
    const host = [...NAT.slice(0, 4), "--vm-net-type", "host", "--subnet", "8.8.4.4/30"];
    await scene.refused(host, /--subnet 8\.8\.4\.4\/30: user softnet-alice may not ask for it/);
  });

  test(`${way}: --expose takes ports that nobody uses, publishes or keeps; others need a line`, needs(), async (t) => {
    const scene = new Scene(t, way, { conf: `allow-ports 8081-8082 group ${ALICE.name}\nallow-ports 8083 user 1\n` });
    const { host } = scene.lab;
    const rules = "tcp dport { 8080-8083, 9000 } dnat to 10.77.0.9:80";
    await host.run("sh", [
      "-c",
      `nft 'add table ip web; add chain ip web in { type nat hook prerouting priority -100; }; add rule ip web in ${rules}'`,
    ]);
    host.sysctl({
      "net/ipv4/ip_local_reserved_ports": "3000-3010,3100",
      "net/ipv4/ip_unprivileged_port_start": "2000",
    });
    const listener =
      "import socket, time; s = socket.create_server(('127.0.0.1', 4000)); print('ready', flush=True); time.sleep(600)";
    await scene.lab.start(host, "/usr/bin/python3", ["-c", listener]).line(/^ready$/);
    const expose = (ports: string): string[] => [...NAT, "--expose", ports];
    const may = `user ${ALICE.name} may not ask for it`;
    for (const [port, why] of [
      [79, "ports below 2000 are the system's"],
      [1999, "ports below 2000 are the system's"],
      [3005, "it is one of ip_local_reserved_ports"],
      [8080, "a rule in table ip web leads it elsewhere"],
      [8083, "a rule in table ip web leads it elsewhere"],
      [9000, "a rule in table ip web leads it elsewhere"],
    ] as const) {
      const remedy = `expose another, or ${write(`allow-ports ${port}`)}`;
      await scene.refused(expose(`2222:22,${port}:80`), line(`--expose ${port}: ${may} (${why}); ${remedy}`));
    }
    await scene.refused(expose("4000:22"), /--expose: port 4000 cannot be exposed: something on this host uses it/);
    await scene.granted(expose("2222:22,3011:80,8081:80,8082:81"));
  });

  test(`${way}: a new TAP has a name of softnet's, or needs a line`, needs(), async (t) => {
    const conf = `allow-new-tap web* user ${ALICE.name}\nallow-new-tap db0\nallow-new-tap eth1 user ${BOB.name}\n`;
    const scene = new Scene(t, way, { conf });
    const socket = await scene.listen(t, "sockets");
    const tap = (name: string): string[] => ["--vm-tap", name, "--vm-mac-address", MAC, "--host-socket", socket];
    for (const name of ["eth1", "wg0", "docker0", "vt-1", "vm0", "we", "db01"]) {
      const remedy = `name it otherwise, such as svm0, or ${write(`allow-new-tap ${name}`)}`;
      await scene.refused(tap(name), line(`--vm-tap ${name}: user ${ALICE.name} may not ask for it; ${remedy}`));
    }
    await scene.refused(
      tap("softnet7"),
      /--vm-tap softnet7: names that begin with "softnet" are for softnet's own TAPs/,
    );
    for (const name of ["svm0", "svm-build", "web", "web12", "db0"]) await scene.granted(tap(name));
    await scene.refused([...tap("svm0").slice(0, 4), "--bridge", BRIDGE], line(write(`allow-bridge ${BRIDGE}`)));
    scene.lab.host.ip("tuntap", "add", "svm5", "mode", "tap", "user", String(BOB.uid));
    const existing = scene.start(tap("svm5"));
    assert.equal((await existing.ended("softnet", PATIENCE)).code, 1);
    assert.match(existing.softnet.program.text(), line(write("allow-tap svm5")));
  });

  test(`${way}: a user runs as many softnets as the lines say, and an ended one counts no more`, needs(), async (t) => {
    const conf = `max-vms 2 user ${ALICE.name}\nmax-vms 40\nallow-bridge ${BRIDGE}\n`;
    const scene = new Scene(t, way, { conf });
    const running = [scene.start(NAT), scene.start([...NAT.slice(0, 4), "--bridge", BRIDGE])];
    for (const cable of running) await cable.softnet.ready();
    const links = scene.lab.host.links().length;
    for (const args of [NAT, [...NAT.slice(0, 4), "--bridge", BRIDGE]]) {
      const third = scene.start(args);
      assert.equal((await third.ended("softnet", PATIENCE)).code, 1);
      const remedy = `let root write "max-vms N user ${ALICE.name}" into /etc/softnet.conf`;
      assert.deepEqual(third.softnet.program.stderr, [
        `softnet: user ${ALICE.name} runs 2 softnets already, and may not run more; end one, or ${remedy}`,
      ]);
    }
    assert.equal(scene.lab.host.links().length, links);
    const bobs = scene.start(NAT, BOB.uid);
    await bobs.softnet.ready();
    await scene.stop(bobs);
    for (const signal of ["SIGINT", "SIGKILL"] as const) {
      const first = running.shift()!;
      process.kill(await first.pid("softnet"), signal);
      await first.ended("softnet", PATIENCE);
      let next = scene.start(NAT);
      // sudo is gone at once, its softnet a moment later.
      await until(
        "its place is free",
        async () => {
          await Promise.race([next.softnet.ready().catch(() => {}), next.ended("softnet", PATIENCE)]);
          if (next.softnet.records.some(({ message }) => message === "started")) return true;
          next = scene.start(NAT);
          return false;
        },
        PATIENCE,
      );
      running.push(next);
    }
    for (const cable of running) await scene.stop(cable);
  });
}

test("SUID: a subnet that root's VM of the same MAC address had is not taken over", needs("udhcpc"), async (t) => {
  const scene = new Scene(t, "SUID", { ownRun: false });
  for (const [subnet, again] of [
    ["8.8.4.4/30", false],
    ["10.88.0.4/30", true],
  ] as const) {
    const guest = await natGuest(scene.lab, ["--subnet", subnet]);
    await lease(guest);
    await guest.softnet!.stop();
    const cable = scene.start(["--vm-fd", "{vm}", "--vm-mac-address", guest.mac, "--dns", "9.9.9.9"]);
    await cable.softnet.ready();
    const { network } = cable.softnet.records.find(({ message }) => message === "started")!;
    assert.equal(network === `nat ${subnet}`, again, String(network));
    await scene.stop(cable);
  }
});

test("SUID: sixteen softnets without a line, and nobody else can take or keep a place", needs(), async (t) => {
  const scene = new Scene(t, "SUID");
  await scene.granted(NAT);
  const run = join(scene.lab.directory, "accounts", "run");
  assert.ok(readdirSync(run).includes("places"));
  const { uid, gid, mode, size } = statSync(join(run, "places"));
  assert.deepEqual([uid, gid, mode & 0o777, size], [0, 0, 0o600, 0]);
  // As sixteen running softnets of alice's hold them, and then as fifteen do.
  const holder = `import fcntl, struct, sys
file = open(sys.argv[1], "r+")
def lock(place, kind):
    fcntl.fcntl(file, 37, struct.pack("hhqqi4x", kind, 0, int(sys.argv[2]) * 4096 + place, 1, 0))
for place in range(16): lock(place, 1)
print("all", flush=True)
sys.stdin.readline()
lock(9, 2)
print("one less", flush=True)
sys.stdin.readline()`;
  const args = ["-c", holder, join(run, "places"), String(ALICE.uid)];
  const others = scene.lab.start(scene.lab.host, "/usr/bin/python3", args, { input: true });
  await others.line(/^all$/);
  await scene.refused(NAT, /^softnet: user softnet-alice runs 16 softnets already/);
  others.write("\n");
  await others.line(/^one less$/);
  await scene.granted(NAT);
  const squat = `import sys; open("/run/softnet/places", "r")`;
  const squatter: Program = scene.accounts.start(["/usr/bin/python3", "-c", squat]);
  await squatter.ended();
  assert.match(squatter.text(), /PermissionError/);
});

test("sudo: who may be root without softnet needs no line, whatever he asks", needs(), async (t) => {
  const sudoers = `${ALICE.name} ALL=(ALL) NOPASSWD: ALL`;
  const scene = new Scene(t, "sudo", { sudoers, conf: "max-vms 0\n" });
  await scene.granted([...NAT, "--subnet", "8.8.4.4/30", "--expose", "80:80"]);
  const bobs = new Scene(t, "SUID", { conf: "max-vms 0\n" });
  await bobs.refused(NAT, /runs 0 softnets already/);
});

test("an exposed port is free again at once, whatever connections were there before", needs(), async (t) => {
  const scene = new Scene(t, "SUID");
  // A server with a connection that it has closed first: TIME_WAIT (RFC 9293).
  const server = `import socket, time
server = socket.create_server(("0.0.0.0", 2222))
client = socket.create_connection(("127.0.0.1", 2222))
peer, _ = server.accept()
peer.close()
time.sleep(0.2)
client.close()
server.close()`;
  scene.lab.host.ip("link", "set", "lo", "up");
  const { code } = await scene.lab.host.run("/usr/bin/python3", ["-c", server]);
  assert.equal(code, 0);
  const waiting = await scene.lab.host.run("ss", ["-tan", "state", "time-wait", "sport", "=", "2222"]);
  assert.match(waiting.stdout, /:2222/);
  const first = scene.start([...NAT, "--expose", "2222:22"]);
  await first.softnet.ready();
  await scene.refused([...NAT, "--expose", "2222:22"], /port 2222 .*another softnet exposes it/);
  for (const options of ["", "server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)"]) {
    const late = `import socket
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
${options}
server.bind(("0.0.0.0", 2222))
server.listen()`;
    const { code, stderr } = await scene.lab.host.run("/usr/bin/python3", ["-c", late]);
    assert.equal(code, 1, "a later server shares the port");
    assert.match(stderr, /Address already in use/);
  }
  await scene.stop(first);
  await scene.granted([...NAT, "--expose", "2222:22"]);
});

test("SUID: a file system that is read-only is named, with the remedy", needs(), async (t) => {
  const scene = new Scene(t, "SUID");
  const readOnly = 'mount -o remount,bind,ro /run/softnet && exec "$@"';
  const within = ["unshare", "--mount", "sh", "-c", readOnly, "sh"];
  const cable = scene.accounts.cable(NAT, { program: [scene.accounts.suid], within });
  assert.equal((await cable.ended("softnet", PATIENCE)).code, 1);
  assert.match(
    cable.softnet.program.text(),
    /softnet: \/run\/softnet\/places cannot be used \(EROFS.*mount a writable file system \(a tmpfs\) on \/run$/m,
  );
  const bridged = [...NAT.slice(0, 4), "--bridge", BRIDGE];
  for (const [args, words] of [
    [NAT, /^softnet: the folder of the host's helper cannot be made: EROFS.*mount a writable file system .* on \/run$/],
    [bridged, /^softnet: the registry \/run\/softnet cannot be used \(EROFS.*read-only, mount a writable one/],
  ] as const) {
    const roots = scene.accounts.cable(args, { uid: 0, within });
    assert.equal((await roots.ended("softnet", PATIENCE)).code, 1);
    assert.equal(roots.softnet.errors.length, 1, roots.softnet.program.text());
    assert.match(roots.softnet.errors[0]!, words);
  }
  const sys = 'mount --rbind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"';
  const closed = ["unshare", "--mount", "sh", "-c", sys, "sh"];
  const nat = scene.accounts.cable(NAT, { program: [scene.accounts.suid], within: closed });
  assert.equal((await nat.ended("softnet", PATIENCE)).code, 1);
  assert.equal(nat.softnet.errors.length, 1, nat.softnet.program.text());
  assert.match(
    nat.softnet.errors[0]!,
    /^softnet: cannot set \/proc\/sys\S+ to \d: EROFS.*mount \/proc\/sys for writing/,
  );
  await until("nothing is left", () => !scene.lab.host.links().some((name) => name.startsWith("softnet")));
});

test("no rights at all: the executable says what root can do about it", needs(), async (t) => {
  const scene = new Scene(t, "sudo", { sudoers: "" });
  const { suid } = scene.accounts;
  const copy = join(scene.lab.directory, "softnet");
  await scene.lab.host.run("cp", ["--no-preserve=mode", suid, copy]);
  await scene.lab.host.run("chmod", ["755", copy]);
  const softnet = new Softnet(
    scene.accounts.start([copy, "--vm-tap", "svm0", "--vm-mac-address", MAC, "--bridge", BRIDGE]),
  );
  await softnet.program.ended(PATIENCE);
  const line = `${ALICE.name} ALL=(root) NOPASSWD: ${copy}`;
  assert.deepEqual(softnet.program.stderr, [
    `softnet: root privileges are required to run and passwordless sudo was not available: run softnet through sudo, or let root write "${line}" with visudo`,
  ]);
});

/** Root of this machine may raise limits (CAP_SYS_RESOURCE, capabilities(7)): not in every container. */
function mayRaiseLimits(): boolean {
  const digits = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1];
  return (BigInt(`0x${digits}`) & (1n << 24n)) !== 0n;
}

test("SUID: the host's helper, which serves others too, has none of its first caller's limits", needs(), async (t) => {
  const scene = new Scene(t, "SUID");
  const tight = ["--nofile=96", "--cpu=3600", "--fsize=8388608", "--as=60000000000", "--sigpending=64", "--nproc=500"];
  const worse = 'echo 900 >/proc/self/oom_score_adj && exec nice -n 15 prlimit "$@"';
  const program = ["sh", "-c", worse, "sh", ...tight, scene.accounts.suid];
  const cable = scene.accounts.cable(NAT, { program });
  if (!mayRaiseLimits()) {
    assert.equal((await cable.ended("softnet", PATIENCE)).code, 1);
    assert.match(cable.softnet.errors.join("\n"), /^softnet: .*its limit of cpu time is 3600 \(ulimit -t\), raise it/);
    await scene.granted(NAT); // who has no such limits is not held up by him
    return;
  }
  await cable.softnet.ready();
  const [helper] = descendants(await cable.pid("softnet")).filter(isHelper);
  assert.ok(helper !== undefined, "there is no helper");
  const read = (name: string): string => readFileSync(`/proc/${helper}/${name}`, "latin1");
  const limits = Object.fromEntries(
    [...read("limits").matchAll(/^Max ([a-z ]+?) {2,}(\S+) +(\S+)/gm)].map(([, name, soft, hard]) => [
      name,
      [soft, hard],
    ]),
  );
  for (const name of ["cpu time", "file size", "address space", "pending signals", "processes", "data size"]) {
    assert.deepEqual(limits[name], ["unlimited", "unlimited"], name);
  }
  assert.deepEqual(limits["open files"], ["65536", "65536"]);
  assert.equal(read("oom_score_adj").trim(), "0");
  assert.equal(
    read("stat")
      .replace(/^.*\) /, "")
      .split(" ")[16],
    "0",
    "its nice value",
  );
  await scene.stop(cable);
});
