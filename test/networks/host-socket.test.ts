import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { AF_UNIX, SOCK_DGRAM, SOCK_STREAM } from "../../src/native/linux/libc.ts";
import { gatewayAdvice, openHostDescriptor, openHostSocket } from "../../src/networks/host-socket.ts";
import { parseRules } from "../../src/policy/rule.ts";
import { DatagramPort } from "../../src/ports/datagram.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { StreamPort } from "../../src/ports/stream.ts";
import { UserError } from "../../src/user-error.ts";
import { until } from "../support/patience.ts";
import { libc, pair } from "../support/sockets.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "softnet-cable-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

test("a descriptor's type decides how frames are told apart", (t) => {
  for (const [type, port] of [
    [SOCK_DGRAM, DatagramPort],
    [SOCK_STREAM, StreamPort],
  ] as const) {
    const { fd, end } = pair(type);
    const network = openHostDescriptor(libc, fd, 1500);
    t.after(() => {
      network.close();
      end.close();
    });
    assert.ok(network.port instanceof port);
    assert.equal(network.label, `--host-fd ${fd}`);
    assert.equal(network.isolated, false);
    assert.equal(network.mtu, 1500);
  }
});

test("a listening stream socket is connected to, and frames arrive with their length in front", async (t) => {
  const path = join(folder(t), "host.sock");
  let server: Server | undefined;
  const accepted = new Promise<Socket>((resolve) => {
    server = createServer(resolve);
  });
  await new Promise<void>((resolve) => server?.listen(path, resolve));
  const network = openHostSocket(libc, path, 1500);
  const peer = await accepted;
  const slab = allocateSlab(1514);
  t.after(() => {
    network.close();
    slab.free();
    server?.close();
  });
  peer.write(Uint8Array.of(0, 0, 0, 3, 7, 8, 9));
  await until("a frame", () => network.port.receive(slab.batch) === 1);
  const data = new Promise<Buffer>((resolve) => peer.once("data", resolve));
  assert.equal(network.port.send(slab.batch, 0), 1);
  assert.deepEqual(await data, Buffer.from([0, 0, 0, 3, 7, 8, 9]));
  peer.destroy();
  await assert.rejects(
    until("the end", () => {
      network.port.receive(slab.batch);
    }),
    { name: "PortClosed", message: /^--host-socket / },
  );
});

test("a wrong descriptor is one line that names option, value and remedy", () => {
  assert.throws(() => openHostDescriptor(libc, 9999, 1500), {
    name: "UserError",
    message: /^--host-fd 9999: this descriptor is not open; pass a connected/,
  });
  const lonely = libc.socket(AF_UNIX, SOCK_STREAM, 0);
  assert.throws(() => openHostDescriptor(libc, lonely, 1500), { name: "UserError", message: /not connected/ });
  libc.close(lonely);
  const SOCK_SEQPACKET = 5;
  const { fd, end } = pair(SOCK_SEQPACKET);
  assert.throws(() => openHostDescriptor(libc, fd, 1500), { name: "UserError", message: /another type/ });
  libc.close(fd);
  end.close();
});

test("a wrong path is one line that names option, value and remedy", async (t) => {
  const place = folder(t);
  const refused = (path: string, why: RegExp): void => {
    assert.throws(
      () => openHostSocket(libc, path, 1500),
      (error) =>
        error instanceof UserError && error.message.startsWith(`--host-socket ${path}: `) && why.test(error.message),
    );
  };
  refused(join(place, "missing"), /no such socket/);
  refused("", /1 to 107 bytes/);
  refused(`/${"x".repeat(107)}`, /1 to 107 bytes; this one has 108/);
  writeFileSync(join(place, "file"), "");
  refused(join(place, "file"), /nobody listens/);
  const datagram = libc.socket(AF_UNIX, SOCK_DGRAM, 0);
  const path = join(place, "datagram");
  const address = Buffer.concat([Uint8Array.of(AF_UNIX, 0), Buffer.from(path), Uint8Array.of(0)]);
  assert.equal(libc.bind(datagram, address, address.length), 0);
  refused(path, /not a stream socket/);
  libc.close(datagram);
});

test("a socket that one may not connect to says so", async (t) => {
  const place = folder(t);
  chmodSync(place, 0o755);
  const path = join(place, "closed.sock");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => server.close());
  chmodSync(path, 0);
  const root = process.getuid?.() === 0;
  if (root) process.seteuid?.(65_534);
  try {
    assert.throws(() => openHostSocket(libc, path, 1500), { name: "UserError", message: /no permission to connect/ });
  } finally {
    if (root) process.seteuid?.(0);
  }
});

test("G20 an open gateway behind a user-space network is told, unless a rule speaks of it", () => {
  const advice = (allow: string[], block: string[]) => gatewayAdvice("--host-fd 4", parseRules(allow, block));
  for (const [allow, block] of [
    [[], []],
    [["@dns:53"], ["@private"]],
    [["in @host:22"], ["in @host"]],
    [[], ["0.0.0.0/0:25", "in 0.0.0.0/0"]],
  ] as const) {
    assert.match(
      advice([...allow], [...block]) ?? "",
      /^--host-fd 4: .*127\.0\.0\.1.*--block @host/,
      `${allow} ${block}`,
    );
  }
  for (const [allow, block] of [
    [["@dns:53"], ["@host"]],
    [["out @host:53"], []],
    [["@global"], ["0.0.0.0/0"]],
  ] as const) {
    assert.equal(advice([...allow], [...block]), undefined, `${allow} ${block}`);
  }
});
