/** The running program with `--vm-socket`: how it waits, whom it serves, and how it ends. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { SOCK_DGRAM } from "../../src/native/linux/libc.ts";
import { type DhcpFields, emitDhcp } from "../../src/wire/dhcp.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { MAIN, softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { until, VM_MAC } from "../support/running.ts";
import { type End, libc, pair } from "../support/sockets.ts";
import { needs, needsReadable, needsRoot, needsTun } from "../support/tools.ts";

const VM = 0x020000000011;
const ROUTER = 0x020000000001;
const ADDRESS = 0xc0a84009; // 192.168.64.9
const FAR = 0x01010101;
const STATIC = ["--vm-mac-address", VM_MAC, "--vm-ip-address", "192.168.64.9"];
/** softnet gives up being root: as this user it would go on. */
const NOBODY = 65_534;
const READABLE = needsReadable();
const AS_USER = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

const udp = (source: number, destination: number, payload: number) =>
  emitUdp({ source, destination, sourcePort: 4000, destinationPort: 4000 }, new Uint8Array(payload));
const out = Buffer.from(emitEthernet(ROUTER, VM, 0x0800, udp(ADDRESS, FAR, 20)));
const back = Buffer.from(emitEthernet(VM, ROUTER, 0x0800, udp(FAR, ADDRESS, 24)));

function framed(frame: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  return Buffer.concat([length, frame]);
}

interface Waiting {
  readonly child: ChildProcess;
  readonly path: string;
  readonly network: End;
  readonly log: Record<string, unknown>[];
  stderr(): string;
  ended(): Promise<number | null>;
}

function place(t: TestContext): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o777);
  return join(folder, "vm.sock");
}

/** Starts softnet; `network` are options in place of a socket that the test holds. */
function start(t: TestContext, path: string, network?: readonly string[], vm: readonly string[] = STATIC): Waiting {
  const { fd, end } = pair(SOCK_DGRAM);
  const args = [MAIN, "--vm-socket", path, ...(network ?? ["--host-fd", "3"]), ...vm, "--log-format", "json"];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "ignore", "pipe", fd],
    ...(network === undefined && AS_USER),
  });
  libc.close(fd);
  const log: Record<string, unknown>[] = [];
  let text = "";
  child.stderr!.setEncoding("utf8").on("data", (part: string) => {
    text += part;
    const lines = text.split("\n").slice(0, -1);
    log.splice(0, log.length, ...lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line)));
  });
  const exit = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await exit;
    end.close();
  });
  return {
    child,
    path,
    network: end,
    log,
    stderr: () => text,
    ended: async () => {
      await exit;
      return child.exitCode;
    },
  };
}

const told = (one: Waiting, message: string) => one.log.find((record) => record.message === message);

async function waiting(
  t: TestContext,
  path = place(t),
  network?: readonly string[],
  vm?: readonly string[],
): Promise<Waiting> {
  const one = start(t, path, network, vm);
  await until(`softnet waits\n${one.stderr()}`, () => told(one, "waiting for the VM"));
  return one;
}

async function connect(t: TestContext, path: string): Promise<Socket> {
  const socket = createConnection(path);
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** Waits until a frame of the VM's has come through. */
async function passes(one: Waiting, vm: Socket): Promise<void> {
  vm.write(framed(out));
  assert.deepEqual(await until("the VM's frame", () => one.network.receive()), out);
}

test("it waits for the VM, serves it, and ends with exit 0 when it goes", READABLE, async (t) => {
  const one = await waiting(t);
  assert.equal(told(one, "waiting for the VM")?.path, one.path);
  assert.equal(told(one, "VM connected"), undefined);
  const { mode, uid } = lstatSync(one.path);
  assert.equal(mode & 0o777, 0o600);
  assert.equal(uid, AS_USER.uid ?? process.getuid?.());
  const vm = await connect(t, one.path);
  await until("the connection is told", () => told(one, "VM connected"));
  assert.ok(!existsSync(one.path));
  await passes(one, vm);
  const arrived = once(vm, "data");
  one.network.send(back);
  assert.deepEqual((await arrived)[0], framed(back));
  const ended = one.ended();
  vm.end();
  assert.equal(await ended, 0);
  const summary = told(one, "summary")!;
  assert.deepEqual([summary["egress-frames"], summary["ingress-frames"]], [1, 1]);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} while it waits ends it with exit 0, and the path is gone`, READABLE, async (t) => {
    const one = await waiting(t);
    const ended = one.ended();
    one.child.kill(signal);
    assert.equal(await ended, 0);
    assert.ok(!existsSync(one.path));
  });
}

test("the network going away while it waits ends it with exit 1, and the path is gone", READABLE, async (t) => {
  const one = await waiting(t);
  const ended = one.ended();
  one.network.close();
  assert.equal(await ended, 1);
  assert.ok(!existsSync(one.path));
  assert.match(String(one.log.find(({ level }) => level === "error")?.message), /--host-fd 3: /);
});

test("a bridge going away while it waits ends it with exit 1, and the path is gone", {
  ...needs("ip"),
  ...needsTun(),
}, async (t) => {
  t.after(enterFreshNamespace());
  ip("link", "add", "br0", "type", "bridge");
  const one = await waiting(t, place(t), ["--bridge", "br0"]);
  const ended = one.ended();
  ip("link", "delete", "br0");
  assert.equal(await ended, 1);
  assert.ok(!existsSync(one.path));
  assert.match(String(one.log.find(({ level }) => level === "error")?.message), /bridge br0/);
});

test("a second client is refused, and the first one goes on", READABLE, async (t) => {
  const one = await waiting(t);
  const vm = await connect(t, one.path);
  await passes(one, vm);
  await assert.rejects(connect(t, one.path), { code: "ENOENT" });
  await passes(one, vm);
});

/** One message of DHCP, to all. */
function dhcp(
  from: number,
  sourcePort: number,
  source: number,
  fields: Partial<DhcpFields> & Pick<DhcpFields, "op" | "options">,
) {
  const message = emitDhcp({ xid: 7, chaddr: VM, ...fields });
  const to = { source, destination: 0xffffffff, sourcePort, destinationPort: 135 - sourcePort };
  return Buffer.from(emitEthernet(0xffffffffffff, from, 0x0800, emitUdp(to, message)));
}

test("--vm-reconnect: a VM that goes and comes again has its lease as before, and softnet goes on", async (t) => {
  const one = await waiting(t, place(t), undefined, ["--vm-mac-address", VM_MAC, "--vm-reconnect"]);
  const address = Uint8Array.of(192, 168, 64, 9);
  const server = Uint8Array.of(192, 168, 64, 1);
  // INIT-REBOOT (RFC 2131, section 4.3.2): it had this address before.
  const request = dhcp(VM, 68, 0, {
    op: 1,
    options: [
      [53, Uint8Array.of(3)],
      [50, address],
    ],
  });
  const lease = [
    [51, Uint8Array.of(0, 0, 14, 16)],
    [1, Uint8Array.of(255, 255, 255, 0)],
    [3, server],
  ] as const;
  const acknowledgement = dhcp(ROUTER, 67, 0xc0a84001, {
    op: 2,
    yiaddr: ADDRESS,
    options: [[53, Uint8Array.of(5)], [54, server], ...lease],
  });
  const vm = await connect(t, one.path);
  vm.write(framed(request));
  assert.deepEqual(await until("the request", () => one.network.receive()), request);
  const arrived = once(vm, "data");
  one.network.send(acknowledgement);
  await arrived;
  await until("the binding", () => told(one, "binding learned"));
  await passes(one, vm);
  vm.destroy();
  await until("it is told", () => told(one, "VM has gone, waiting for it"));
  one.network.send(back); // nobody is there to get it
  const again = await connect(t, one.path);
  await passes(one, again); // from the address that it had, without a word of DHCP
  const other = once(again, "data");
  one.network.send(back);
  assert.deepEqual((await other)[0], framed(back));
  assert.equal(one.log.filter(({ message }) => message === "VM connected").length, 2);
  again.end();
  await until(
    "it is told again",
    () => one.log.filter(({ message }) => message === "VM has gone, waiting for it").length === 2,
  );
  assert.equal(one.child.exitCode, null);
  const ended = one.ended();
  one.child.kill("SIGTERM");
  assert.equal(await ended, 0);
  assert.ok(!existsSync(one.path));
});

test("--vm-reconnect without --vm-socket is one line and exit 1", () => {
  const { status, stderr } = softnet(["--vm-fd", "9", "--host-fd", "8", "--vm-mac-address", VM_MAC, "--vm-reconnect"]);
  assert.deepEqual(
    [status, stderr],
    [1, "softnet: --vm-reconnect belongs to --vm-socket PATH: give both or neither\n"],
  );
});

test("another user cannot connect", {
  ...needsRoot(),
  ...READABLE,
}, async (t) => {
  const one = await waiting(t);
  const script = `require("net").connect(${JSON.stringify(one.path)}).on("connect", () => process.exit(0)).on("error", (e) => { console.log(e.code); process.exit(3); })`;
  const other = spawn(process.execPath, ["-e", script], {
    uid: 65_533,
    gid: 65_533,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [said] = await once(other.stdout, "data");
  assert.equal(String(said).trim(), "EACCES");
  await passes(one, await connect(t, one.path));
});

for (const [what, bytes] of [
  ["an empty frame", Uint8Array.of(0, 0, 0, 0)],
  ["a frame longer than any", Uint8Array.of(0, 1, 0, 15)],
  ["a frame of 4 GiB", Uint8Array.of(255, 255, 255, 255)],
  ["a web browser's request", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
] as const) {
  test(`L12 ${what} is a framing error: exit 1 with a line that names the path`, READABLE, async (t) => {
    const one = await waiting(t);
    const vm = await connect(t, one.path);
    await passes(one, vm);
    const ended = one.ended();
    vm.on("error", () => {}).write(bytes);
    assert.equal(await ended, 1);
    const errors = one.log.filter(({ level }) => level === "error");
    assert.equal(errors.length, 1);
    assert.match(String(errors[0]!.message), new RegExp(`^--vm-socket ${one.path}: framing error`));
  });
}

test("a VM that goes in the middle of a frame is gone, too: exit 0", READABLE, async (t) => {
  const one = await waiting(t);
  const vm = await connect(t, one.path);
  await passes(one, vm);
  const ended = one.ended();
  vm.end(framed(out).subarray(0, 20));
  assert.equal(await ended, 0);
});

test("a client that is gone before it is heard was the VM: exit 0", READABLE, async (t) => {
  const one = await waiting(t);
  const ended = one.ended();
  (await connect(t, one.path)).destroy();
  assert.equal(await ended, 0);
});

test(
  "what SIGKILL leaves is replaced; of many that do so at once one waits, and the others say why not",
  READABLE,
  async (t) => {
    const path = place(t);
    const killed = await waiting(t, path);
    const gone = killed.ended();
    killed.child.kill("SIGKILL");
    await gone;
    assert.ok(lstatSync(path).isSocket());
    const many = Array.from({ length: 4 }, () => start(t, path));
    const waits = (one: Waiting) => told(one, "waiting for the VM") !== undefined;
    await until(
      "one waits, three end",
      () => many.filter((one) => waits(one) || one.child.exitCode === 1).length === 4,
    );
    const winners = many.filter(waits);
    assert.equal(winners.length, 1);
    await passes(winners[0]!, await connect(t, path));
    for (const one of many) {
      if (one !== winners[0]) assert.match(one.stderr(), /^softnet: --vm-socket \S+: exists already[^\n]*\n$/);
    }
  },
);

function refuses(path: string, words: RegExp): void {
  const { fd, end } = pair(SOCK_DGRAM);
  const options = AS_USER.uid === undefined ? {} : { uid: AS_USER.uid };
  const { status, stderr } = softnet(["--vm-socket", path, "--host-fd", "3", ...STATIC], {
    stdio: ["ignore", "pipe", "pipe", fd],
    ...options,
  });
  end.close();
  libc.close(fd);
  assert.match(stderr, /^softnet: --vm-socket [^\n]+\n$/);
  assert.match(stderr, words);
  assert.equal(status, 1);
}

test("a path that cannot be is one line and exit 1", READABLE, (t) => {
  const path = place(t);
  refuses("", /1 to 107 bytes/);
  refuses(`/${"x".repeat(107)}`, /1 to 107 bytes; this one has 108/);
  refuses("/nonexistent/vm.sock", /the folder \/nonexistent does not exist; make it/);
  writeFileSync(path, "");
  refuses(path, /exists already and is no socket/);
  refuses(join(path, "vm.sock"), /is not a folder/);
});

test("without permission in the folder it is one line and exit 1", {
  ...needsRoot(),
  ...READABLE,
}, (t) => {
  refuses(join(temporaryFolder(t), "vm.sock"), /no permission to make a socket in .*XDG_RUNTIME_DIR/);
});
