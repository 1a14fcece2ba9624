/** scripts/verify-on-a-mac, as far as stand-ins for Apple's libraries can tell: that its points run, find and clean up. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { blockedPoints, clearWhileBlocked } from "../../scripts/verify/blocked.ts";
import { lookAtBootpd } from "../../scripts/verify/bootpd.ts";
import { findCaller } from "../../scripts/verify/caller.ts";
import { controlPoints } from "../../scripts/verify/control.ts";
import { dropPoints } from "../../scripts/verify/drop.ts";
import { executablePoints, startPrivate, startThroughSudo } from "../../scripts/verify/executable.ts";
import { ownNetworkPoints } from "../../scripts/verify/own-network.ts";
import { type Finding, failed, leftOut, ok, open, type Point, runPoints } from "../../scripts/verify/points.ts";
import { registryPoints } from "../../scripts/verify/registry.ts";
import { signaturePoints } from "../../scripts/verify/signature.ts";
import { socketPair } from "../../scripts/verify/socket-pair.ts";
import { socketPoints } from "../../scripts/verify/sockets.ts";
import { subnetPoints } from "../../scripts/verify/subnet.ts";
import { vmnetPoints } from "../../scripts/verify/vmnet.ts";
import { loadCoreFoundation } from "../../src/native/darwin/corefoundation.ts";
import { loadDarwinLibc, SOCK_DGRAM } from "../../src/native/darwin/libc.ts";
import { VMNET_SHARING_SERVICE_BUSY } from "../../src/native/darwin/vmnet.ts";
import { loadLibc } from "../../src/native/linux/libc.ts";
import { linuxRegistry } from "../../src/registry/linux.ts";
import { temporaryFolder } from "../support/folder.ts";
import { PATIENCE } from "../support/patience.ts";
import { needs, needsReadable, needsRoot } from "../support/tools.ts";
import { assertNothingHeld, inject, needsTwin, twin } from "../support/twin.ts";

test("each point is told, also after one that throws, and failures are counted", async () => {
  const points: Point[] = [
    { name: "a", run: () => ok("fine") },
    {
      name: "b",
      run: () => {
        throw new Error("broken");
      },
    },
    { name: "c", run: async () => failed("one\ntwo") },
    { name: "d", run: () => open("so") },
    { name: "e", run: () => leftOut("old") },
  ];
  const lines: string[] = [];
  assert.equal(await runPoints(points, (line) => lines.push(line)), 2);
  assert.deepEqual(
    lines.filter((line) => !line.startsWith(" ")),
    ["ok        a", "FAILED    b", "FAILED    c", "open      d", "left out  e"],
  );
  assert.deepEqual(lines.slice(3, 7), ["          broken", "FAILED    c", "          one", "          two"]);
});

/** The finding of the one point whose name matches. */
async function find(points: readonly Point[], name: RegExp): Promise<Finding> {
  const found = points.filter((point) => name.test(point.name));
  assert.equal(found.length, 1);
  return await found[0]!.run();
}

test("vmnet's points: parameters, keys, frames, forwarding, and nothing is held", needsTwin(), async (t) => {
  const points = vmnetPoints(twin().native);
  const parameters = await find(points, /parameters/);
  assert.deepEqual(parameters, ok("gateway 192.168.64.1, MTU 1500, largest frame 1514, read 256, write 256"));
  assert.match((await find(points, /keys/)).details, /^maxPacketSize: "vmnet_max_packet_size"$/m);
  const bad = await find(points, /bad frame/);
  assert.equal(bad.verdict, "open");
  assert.match(bad.details, /good ones: VMNET_SUCCESS.* 3 of 3.*\n.*PACKET_TOO_BIG.*\n.*INVALID_ARGUMENT/);
  assert.equal((await find(points, /forwarded on a shared/)).verdict, "ok");
  // Nobody answers ARP there: that is a failure, and told as one.
  assert.equal((await find(points, /event comes again/)).verdict, "FAILED");
  await assertNothingHeld();
  inject(t, "start status", VMNET_SHARING_SERVICE_BUSY);
  const lines: string[] = [];
  await runPoints([points[0]!], (line) => lines.push(line));
  assert.match(lines.join("\n"), /^FAILED .*\n.*VMNET_SHARING_SERVICE_BUSY.*1009/);
});

test("the point of a network of one's own: made, started, given back", needsTwin(), async () => {
  const { native, libraries } = twin();
  const coreFoundation = () => loadCoreFoundation(libraries.coreFoundation);
  const points = ownNetworkPoints(native, coreFoundation, () => ({ networks: [], routes: [] }));
  const { verdict, details } = await find(points, /network of its own/);
  assert.equal(verdict, "open", details);
  assert.match(details, /^root needs no entitlement: [\d.]+\/30\nforwarding on the running interface: VMNET_FAILURE/);
  await assertNothingHeld();
});

test("the event callback's point: a handler that waits, none, and a child of its own", needsTwin(), async () => {
  const { native, libraries, control } = twin();
  const waited = await clearWhileBlocked(native, () => control.deliver(Buffer.alloc(60)));
  assert.equal(waited.verdict, "ok", waited.details);
  const none = await clearWhileBlocked(native, () => {});
  assert.match(`${none.verdict}: ${none.details}`, /^open: it took \d+ ms, but no handler waited/);
  await assertNothingHeld();
  // Nobody answers ARP there.
  assert.match((await find(blockedPoints(libraries), /while a handler waits/)).details, /no handler waited/);
  const wrong = { ...libraries, vmnet: "/nowhere/vmnet" };
  assert.match((await find(blockedPoints(wrong), /while a handler waits/)).details, /^the child ended with 1: /);
});

test("the subnet's point: what is made of either address, and given back", needsTwin(), async (t) => {
  const { native, libraries } = twin();
  const coreFoundation = () => loadCoreFoundation(libraries.coreFoundation);
  inject(t, "canonical subnet", 1);
  const points = subnetPoints(native, coreFoundation, () => ({ networks: [], routes: [] }));
  const { verdict, details } = await find(points, /first address/);
  assert.equal(verdict, "open", details);
  assert.match(
    details,
    /^of the first address: ([\d.]+\/30)\nof the gateway's: VMNET_INVALID_ARGUMENT.*\n\1 was asked for$/,
  );
  inject(t, "subnet shift", 4);
  assert.equal((await find(points, /first address/)).verdict, "FAILED");
  await assertNothingHeld();
});

test(
  "bootpd's point: what its file says while an interface runs, and what was changed is taken back",
  needsTwin(),
  async (t) => {
    const { native } = twin();
    let restored = 0;
    const look = (text: string | undefined) =>
      lookAtBootpd(
        native,
        async () => () => void restored++,
        () => text,
      );
    const file = { dhcp_ignore_client_identifier: true, Subnets: [{ lease_max: 611, lease_min: 611 }] };
    assert.deepEqual(
      await look(JSON.stringify(file)),
      open('dhcp_ignore_client_identifier: true\nlease times: "lease_max":611, "lease_min":611 (611 was asked for)'),
    );
    assert.match((await look("{}")).details, /^no dhcp_ignore_client_identifier\nlease times: none/);
    assert.match((await look(undefined)).details, /^there is no \/etc\/bootpd\.plist/);
    inject(t, "start status", VMNET_SHARING_SERVICE_BUSY);
    await assert.rejects(look("{}"), /VMNET_SHARING_SERVICE_BUSY/);
    assert.equal(restored, 4);
    await assertNothingHeld();
  },
);

test("the signature's points: what codesign says decides, with just our entitlements; Rosetta may be missing", async (t) => {
  const folder = temporaryFolder(t);
  const plist = readFileSync(new URL("../../packaging/softnet.entitlements", import.meta.url), "utf8");
  /** A program that ends so, and prints a file. */
  const program = (name: string, text: string, code = 0): string => {
    const path = join(folder, name);
    writeFileSync(`${path}.txt`, text);
    writeFileSync(path, `#!/bin/sh\ncat '${path}.txt'\nexit ${code}\n`, { mode: 0o755 });
    return path;
  };
  const findAll = async (codesign: string, arch: string) => {
    const points = signaturePoints({ path: "/softnet", x64: "/softnet-x64", codesign, arch });
    return [await points[0]!.run(), await points[1]!.run(), await points[2]!.run()] as const;
  };
  const [good, goodX64, x64] = await findAll(program("good", plist), program("arch", "1.2.3\n"));
  assert.deepEqual([good.verdict, goodX64.verdict, x64], ["ok", "ok", ok("version: 1.2.3")]);
  const more = plist.replace("<dict>", "<dict><key>com.apple.security.get-task-allow</key><true/>");
  const [extra, , noRosetta] = await findAll(program("more", more), program("none", "", 86));
  assert.match(extra.details, /get-task-allow.*\ninstead of: com\.apple\.security\.cs\.allow-jit/);
  assert.deepEqual([extra.verdict, noRosetta.verdict], ["FAILED", "left out"]);
  const [bad, , crash] = await findAll(program("bad", "invalid signature", 1), program("crash", "", 139));
  assert.deepEqual(bad, failed("invalid signature"));
  assert.equal(crash.verdict, "FAILED");
  for (const { run } of signaturePoints({ path: undefined, x64: undefined })) {
    assert.match((await run()).details, /^give it: verify-on-a-mac --executable/);
  }
});

test("the point of a softnet that sudo runs: started, ended by its user's signal", {
  ...needsTwin(),
  ...needsRoot(),
  ...needs("sudo"),
}, async (t) => {
  const path = twin().libraries.system;
  const libc = loadDarwinLibc(path);
  const sockets = { socketPair: () => socketPair(libc, path, SOCK_DGRAM), close: (fd: number) => libc.close(fd) };
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o777);
  const softnet = fileURLToPath(new URL("../lab/tools/softnet-on-twin.ts", import.meta.url));
  const command = [process.execPath, softnet, JSON.stringify({ folder })];
  const { verdict, details } = await startThroughSudo(command, { uid: 0, gid: 0 }, sockets);
  assert.equal(verdict, "ok", details);
  assert.match(details, /message=started .*network="vmnet nat/);
  const nobody = await startThroughSudo(command, NOBODY, sockets);
  assert.equal(nobody.verdict, "left out", nobody.details);
});

test("the sockets' point sends until it is full, and receives all of it", needsTwin(), async () => {
  const { libraries } = twin();
  const libc = loadDarwinLibc(libraries.system);
  const both = { sendsBatches: true, receivesBatches: true };
  const { verdict, details } = await find(socketPoints(libc, both, libraries.system), /sockets/);
  assert.equal(verdict, "open", details);
  assert.match(
    details,
    /^sent 20000 frames in order; received [\d.]+ at once on average, \d+ at the most; ENOBUFS [1-9]/,
  );
  const old = { sendsBatches: false, receivesBatches: false };
  assert.equal((await find(socketPoints(libc, old, libraries.system), /sockets/)).verdict, "left out");
});

/** An ordinary user. */
const NOBODY = { uid: 65_534, gid: 65_534 };

test("the registry's points tell locks of a description from those of a process, and an id from none", (t) => {
  const folder = temporaryFolder(t);
  const { TMPDIR } = process.env;
  process.env.TMPDIR = folder;
  t.after(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  });
  const linux = linuxRegistry(loadLibc());
  const [locks, boot] = registryPoints(linux).map(({ run }) => run() as Finding);
  assert.equal(locks!.verdict, "ok", locks!.details);
  assert.deepEqual(boot, ok(linux.bootId()));
  // As fcntl's older locks are: a process never meets its own, and loses them with any descriptor of the file.
  const [old, none] = registryPoints({ lock: () => true, isLocked: () => false, bootId: () => "" });
  assert.deepEqual(
    old!.run(),
    failed(
      ["who has opened the file once more is", "and cannot lock it", "closing the file elsewhere does not unlock it"]
        .map((what) => `not so: ${what}`)
        .join("\n"),
    ),
  );
  assert.equal((none!.run() as Finding).verdict, "FAILED");
  assert.deepEqual(readdirSync(folder), []);
});

test("the drop's point: a child loses root, with all ids and groups", { ...needsTwin(), ...needsRoot() }, async () => {
  const path = twin().libraries.system;
  const { verdict, details } = await find(dropPoints(path, NOBODY), /privileges/);
  assert.equal(verdict, "ok", details);
  assert.match(details, /"uid":65534,.*"groups":\[65534\],"possible":\[\]/);
  assert.equal((await find(dropPoints("/nowhere/lib", NOBODY), /privileges/)).verdict, "FAILED");
  assert.equal((await find(dropPoints(path, undefined), /privileges/)).verdict, "left out");
  assert.deepEqual(findCaller({ SUDO_UID: "501", SUDO_GID: "20" }), { uid: 501, gid: 20 });
  for (const env of [{}, { SUDO_UID: "0", SUDO_GID: "0" }, { SUDO_UID: "x" }]) assert.equal(findCaller(env), undefined);
});

test(
  "the control channel's points: standard output and its end, a path that was left behind",
  needsTwin(),
  async () => {
    const path = twin().libraries.system;
    const points = controlPoints(loadDarwinLibc(path), path);
    for (const name of [/standard output/, /left behind/]) {
      const { verdict, details } = await find(points, name);
      assert.equal(verdict, "ok", details);
    }
  },
);

test("the executable's points: left out with words, or a private network without root", {
  ...needsTwin(),
  ...needsReadable(),
}, async (t) => {
  const path = twin().libraries.system;
  const libc = loadDarwinLibc(path);
  const sockets = { socketPair: () => socketPair(libc, path, SOCK_DGRAM), close: (fd: number) => libc.close(fd) };
  for (const { run } of executablePoints({ path: undefined, hasOwnNetworks: true, ...sockets })) {
    assert.deepEqual(await run(), leftOut("give it: verify-on-a-mac --executable build/…/softnet"));
  }
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o777);
  const softnet = fileURLToPath(new URL("../lab/tools/softnet-on-twin.ts", import.meta.url));
  const command = (more: object) => [process.execPath, softnet, JSON.stringify({ folder, ...more })];
  const who = process.getuid!() === 0 ? NOBODY : { uid: process.getuid!(), gid: process.getgid!() };
  const started = await startPrivate(command({ inject: { entitled: 1 } }), who, sockets);
  assert.equal(started.verdict, "ok", started.details);
  assert.match(started.details, /message=started .*network="private [\d.]+\/30".*privileges="user /);
  const unentitled = await startPrivate(command({}), who, sockets);
  assert.equal(unentitled.verdict, "FAILED");
  assert.match(unentitled.details, /^it did not start \(1\)\nsoftnet: sudo has started softnet, but not as root/);
  const refused = await startPrivate(command({ macos: 15, release: "24.0.0" }), who, sockets);
  assert.equal(refused.verdict, "FAILED");
  assert.match(refused.details, /^it did not start \(1\)\n.*needs macOS 26/);
  assert.match((await startPrivate(["/nowhere/softnet"], who, sockets)).details, /it did not start \(spawn .*ENOENT/);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends the run after the point that runs, which restores what it changed`, async (t) => {
    const folder = temporaryFolder(t);
    const source = (name: string) => JSON.stringify(new URL(`../../scripts/verify/${name}.ts`, import.meta.url).href);
    const program = `
      import { rmSync, writeFileSync } from "node:fs";
      import { runPoints } from ${source("points")};
      import { exitCodeOf, noteSignals } from ${source("signals")};
      const stopped = noteSignals();
      const changed = ${JSON.stringify(join(folder, "changed"))};
      const first = { name: "first", run: async () => {
        writeFileSync(changed, "");
        try {
          console.log("changed");
          while (stopped() === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
          await new Promise((resolve) => setTimeout(resolve, 100));
          return { verdict: "ok", details: "to the end" };
        } finally {
          rmSync(changed);
        }
      } };
      const others = ["second", "third"].map((name) => ({ name, run: () => { throw new Error("not to be run"); } }));
      await runPoints([first, ...others], (line) => console.log(line), stopped);
      process.exitCode = exitCodeOf(stopped());`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program], { timeout: PATIENCE });
    let text = "";
    child.stdout.on("data", (data) => {
      text += data;
      if (text !== "changed\n") return;
      assert.ok(existsSync(join(folder, "changed")));
      child.kill(signal);
    });
    assert.deepEqual(await once(child, "close"), [signal === "SIGINT" ? 130 : 143, null]);
    assert.equal(
      text,
      `changed\nok        first\n          to the end\n${signal}: everything is restored, and 2 points were not tried\n`,
    );
    assert.deepEqual(readdirSync(folder), []);
  });
}

test("on what is no Mac it says so, and does nothing", { skip: process.platform === "darwin" }, () => {
  const script = fileURLToPath(new URL("../../scripts/verify-on-a-mac", import.meta.url));
  const { status, stdout, stderr } = spawnSync(script, { encoding: "utf8" });
  assert.deepEqual([status, stdout, stderr], [1, "", "verify-on-a-mac: this is no Mac\n"]);
});
