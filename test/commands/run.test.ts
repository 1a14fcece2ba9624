/** The running program between two sockets: what it forwards, how it ends, what it tells. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openCapture } from "../../src/capture/index.ts";
import { SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { emitArp } from "../../src/wire/arp.ts";
import { emitDhcp } from "../../src/wire/dhcp.ts";
import { emitEthernet } from "../../src/wire/ethernet.ts";
import { emitUdp } from "../../src/wire/udp.ts";
import { softnet } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Running, startSoftnet, until, VM_MAC } from "../support/running.ts";
import { needsReadable, needsRoot } from "../support/tools.ts";

const VM = 0x020000000011;
const ROUTER = 0x020000000001;
const EVERYBODY = 0xffffffffffff;
const ADDRESS = 0xc0a84009; // 192.168.64.9
const GATEWAY = 0xc0a84001;
const FAR = 0x01010101;
const STATIC = ["--vm-ip-address", "192.168.64.9"];
/** Ten times what the issue of the day names as a figure: tests are no benchmarks. */
const AT_ONCE = 2000;

const udp = (from: number, to: number, ports: readonly [number, number], payload: Uint8Array): Uint8Array =>
  emitUdp({ source: from, destination: to, sourcePort: ports[0], destinationPort: ports[1] }, payload);
const out = (destination = FAR, source = ADDRESS, mac = VM): Uint8Array =>
  emitEthernet(ROUTER, mac, 0x0800, udp(source, destination, [4000, 443], new Uint8Array(20)));
const back = (): Uint8Array => emitEthernet(VM, ROUTER, 0x0800, udp(FAR, ADDRESS, [443, 4000], new Uint8Array(20)));

/** Waits for one frame at the network's end. */
const arrives = (running: Running): Promise<Buffer> => until("a frame at the network", () => running.network.receive());

/** Sends a frame through, so that softnet is known to run. */
async function warm(running: Running): Promise<void> {
  running.vm.send(out());
  await arrives(running);
}

test("frames pass both ways unchanged, and what the guard drops does not", async (t) => {
  const running = await startSoftnet(t, { args: STATIC });
  running.vm.send(out());
  assert.deepEqual(await arrives(running), Buffer.from(out()));
  running.network.send(back());
  assert.deepEqual(await until("a frame at the VM", () => running.vm.receive()), Buffer.from(back()));
  running.vm.send(out(0x0a000001)); // a private neighbour
  running.vm.send(out(FAR, ADDRESS + 1));
  running.vm.send(out(FAR, ADDRESS, VM + 1));
  running.vm.send(out(0x08080808));
  assert.deepEqual(await arrives(running), Buffer.from(out(0x08080808)));
});

test("D29 the first packet behind the ACK passes: learned before the ACK is forwarded", async (t) => {
  const running = await startSoftnet(t);
  const option = (code: number, ...value: number[]) => [code, Uint8Array.from(value)] as const;
  const dhcp = (op: number, yiaddr: number, ...options: (readonly [number, Uint8Array])[]) =>
    emitDhcp({ op, xid: 7, chaddr: VM, yiaddr, options });
  const ask = (...options: (readonly [number, Uint8Array])[]) =>
    emitEthernet(EVERYBODY, VM, 0x0800, udp(0, 0xffffffff, [68, 67], dhcp(1, 0, ...options)));
  const answer = (...options: (readonly [number, Uint8Array])[]) =>
    emitEthernet(VM, ROUTER, 0x0800, udp(GATEWAY, ADDRESS, [67, 68], dhcp(2, ADDRESS, ...options)));
  const server = option(54, 192, 168, 64, 1);
  running.vm.send(out());
  running.vm.send(ask(option(53, 1)));
  await arrives(running);
  running.network.send(answer(option(53, 2), server, option(51, 0, 0, 1, 0)));
  await until("the OFFER", () => running.vm.receive());
  running.vm.send(ask(option(53, 3), server, option(50, 192, 168, 64, 9)));
  await arrives(running);
  running.network.send(answer(option(53, 5), server, option(51, 0, 0, 1, 0), option(3, 192, 168, 64, 1)));
  await until("the ACK", () => running.vm.receive());
  running.vm.send(out());
  assert.deepEqual(await arrives(running), Buffer.from(out()));
  const learned = await until("the log", () => running.log.find(({ message }) => message === "binding learned"));
  assert.deepEqual(
    [learned.address, learned.server, learned.gateway, learned.seconds],
    ["192.168.64.9", "192.168.64.1", "192.168.64.1", 256],
  );
  const drop = running.log.find(({ message }) => message === "first drop");
  assert.equal(drop?.reason, "ipv4.unbound");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends it with exit 0`, async (t) => {
    const running = await startSoftnet(t, { args: STATIC });
    await warm(running);
    const ended = running.ended();
    running.child.kill(signal);
    const { code, milliseconds } = await ended;
    assert.equal(code, 0);
    assert.ok(milliseconds < AT_ONCE, `${milliseconds} ms`);
    const summary = running.log.find(({ message }) => message === "summary");
    assert.equal(summary?.["egress-frames"], 1);
  });
}

test("the VM going away on an idle link ends it with exit 0, while another process holds a copy of our end", async (t) => {
  // As Tart does: it keeps the descriptor that it gave us.
  const running = await startSoftnet(t, { args: STATIC, keeper: true });
  await warm(running);
  const ended = running.ended();
  running.vm.close();
  const { code, milliseconds } = await ended;
  assert.equal(code, 0);
  assert.ok(milliseconds < AT_ONCE, `${milliseconds} ms`);
});

test("the network going away ends it with exit 1 and a line that names it", async (t) => {
  const running = await startSoftnet(t, { args: STATIC });
  await warm(running);
  const ended = running.ended();
  running.network.close();
  const { code, milliseconds } = await ended;
  assert.equal(code, 1);
  assert.ok(milliseconds < AT_ONCE, `${milliseconds} ms`);
  const errors = running.log.filter(({ level }) => level === "error");
  assert.equal(errors.length, 1);
  assert.match(String(errors[0]!.message), /--host-fd 4: /);
});

test("L12 a framing error on a stream ends it with exit 1 and a line that names it", async (t) => {
  const running = await startSoftnet(t, { args: STATIC, networkType: SOCK_STREAM });
  await warm(running);
  const ended = running.ended();
  running.network.send(Uint8Array.of(0, 0, 0, 0));
  assert.equal((await ended).code, 1);
  const error = running.log.find(({ level }) => level === "error");
  assert.match(String(error?.message), /--host-fd 4: framing error/);
});

test("a stream's other side closing ends it with exit 1", async (t) => {
  const running = await startSoftnet(t, { args: STATIC, networkType: SOCK_STREAM });
  await warm(running);
  const ended = running.ended();
  running.network.close();
  assert.equal((await ended).code, 1);
});

test("with the VM on descriptor 0, as Tart has it, an ordinary run says nothing", async (t) => {
  const running = await startSoftnet(t, { args: [...STATIC, "--block", "@host"], vmFd: 0 });
  await warm(running);
  const ended = running.ended();
  running.child.kill("SIGINT");
  assert.equal((await ended).code, 0);
  assert.equal(running.stderr(), "");
});

test("no privilege is needed between two sockets", {
  ...needsRoot(),
  ...needsReadable(),
}, async (t) => {
  const running = await startSoftnet(t, { args: STATIC, uid: 65_534 });
  await warm(running);
  const ended = running.ended();
  running.vm.close();
  assert.equal((await ended).code, 0);
});

test("a log that nobody reads stops no frame", async (t) => {
  const running = await startSoftnet(t, { args: [...STATIC, "--log-level", "debug"], deaf: true });
  // More than a pipe holds: each of these is a line or belongs to one, and an hour of them would be.
  running.child.stderr!.pause();
  for (let round = 0; round < 50; round++) {
    running.vm.send(out(0x0a000001));
    await warm(running);
  }
});

test("a network that takes nothing costs its own direction only, and the loss is counted", async (t) => {
  const running = await startSoftnet(t, { args: STATIC });
  await warm(running);
  for (let sent = 0; sent < 6000; ) {
    if (running.vm.send(out()) > 0) sent++;
    else await new Promise((resolve) => setTimeout(resolve, 1));
  }
  running.network.send(back());
  assert.deepEqual(await until("a frame at the VM", () => running.vm.receive()), Buffer.from(back()));
  const ended = running.ended();
  running.child.kill("SIGTERM");
  await ended;
  const summary = running.log.find(({ message }) => message === "summary")!;
  assert.ok(Number(summary.undelivered) > 0, JSON.stringify(summary));
});

test("A10 D3 a flood writes no more than a line a second", async (t) => {
  const running = await startSoftnet(t, { args: STATIC });
  const request = emitEthernet(
    EVERYBODY,
    VM,
    0x0806,
    emitArp({ operation: 1, senderHardware: VM, senderProtocol: ADDRESS, targetHardware: 0, targetProtocol: GATEWAY }),
  );
  const begin = performance.now();
  for (let sent = 0; sent < 3000; ) {
    if (running.vm.send(request) > 0) sent++;
    else await new Promise((resolve) => setTimeout(resolve, 1));
    running.network.receiveAll();
  }
  await until("the flood to be judged", () => running.log.some(({ message }) => message === "drops"));
  const seconds = (performance.now() - begin) / 1000;
  const lines = running.log.filter(({ message }) => message === "drops");
  assert.ok(lines.length <= seconds + 1, `${lines.length} lines in ${seconds} s`);
  assert.equal(running.log.filter(({ message }) => message === "first drop").length, 1);
});

test("replaying what --capture wrote gives the verdicts of the live run", async (t) => {
  const path = join(temporaryFolder(t), "live.pcapng");
  const options = [...STATIC, "--gateway", "192.168.64.1", "--block", "8.8.8.0/24"];
  const running = await startSoftnet(t, { args: [...options, "--capture", path] });
  await warm(running);
  const arp = (sender: number, operation = 1) =>
    emitEthernet(
      EVERYBODY,
      VM,
      0x0806,
      emitArp({ operation, senderHardware: VM, senderProtocol: sender, targetHardware: 0, targetProtocol: GATEWAY }),
    );
  const answer = (mac: number) =>
    emitEthernet(
      VM,
      mac,
      0x0806,
      emitArp({
        operation: 2,
        senderHardware: mac,
        senderProtocol: GATEWAY,
        targetHardware: VM,
        targetProtocol: ADDRESS,
      }),
    );
  const kinds = [
    out(),
    out(0x0a000001),
    out(0x08080808),
    out(FAR, ADDRESS + 1),
    out(FAR, ADDRESS, VM + 1),
    arp(ADDRESS),
    arp(GATEWAY),
    arp(ADDRESS, 3),
    new Uint8Array(5),
    new Uint8Array(1600),
  ];
  let sent = 1;
  for (let round = 0; round < 60; round++) {
    for (const frame of [...kinds, ...Array.from({ length: 5 }, () => arp(ADDRESS))]) {
      running.vm.send(frame);
      sent++;
    }
    running.network.send(answer(ROUTER));
    running.network.send(answer(ROUTER + 1));
    running.network.send(back());
    sent += 3;
    running.network.receiveAll();
    running.vm.receiveAll();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const ended = running.ended();
  running.child.kill("SIGTERM");
  await ended;
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const live = [...openCapture(path)].map(({ comment }) => comment ?? "pass");
  const { status, stdout } = softnet(["replay", path, "--vm-mac-address", VM_MAC, ...options, "--json"]);
  assert.equal(status, 0);
  const replayed = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  replayed.pop();
  assert.equal(live.length, sent);
  assert.deepEqual(
    replayed.map(({ reason }) => reason ?? "pass"),
    live,
  );
  const reasons = new Set(live);
  const expected =
    "pass policy.destination policy.block ipv4.source ethernet.source arp.sender-address arp.operation arp.rate";
  for (const name of `${expected} arp.gateway frame.short frame.long`.split(" ")) assert.ok(reasons.has(name), name);
});

test("a capture stops at its size, and frames go on", async (t) => {
  const path = join(temporaryFolder(t), "small.pcapng");
  const args = [...STATIC, "--block", "@host", "--capture", path, "--capture-size", "4K"];
  const running = await startSoftnet(t, { args });
  for (let round = 0; round < 100; round++) await warm(running);
  const ended = running.ended();
  running.child.kill("SIGTERM");
  await ended;
  assert.ok(statSync(path).size <= 4096);
  assert.ok([...openCapture(path)].length > 10);
  const warning = running.log.find(({ level }) => level === "warn");
  assert.match(String(warning?.message), /--capture-size/);
});

test("a capture that cannot be written is one line and exit 1, before any frame", async (t) => {
  const running = await startSoftnet(t, { args: [...STATIC, "--capture", "/nonexistent/x.pcapng"] });
  assert.equal((await running.ended()).code, 1);
  assert.match(running.stderr(), /^softnet: [^\n]*\/nonexistent\/x\.pcapng[^\n]*\n$/);
});

test("a rule that opens metadata addresses is warned of at start", async (t) => {
  const running = await startSoftnet(t, { args: [...STATIC, "--allow", "169.0.0.0/8"] });
  await until("the warning", () =>
    running.log.find(({ level, message }) => level === "warn" && /metadata/.test(String(message))),
  );
});
