import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { parseExposures } from "../../../src/networks/exposures.ts";
import { reservePorts } from "../../../src/networks/nat/reserved-ports.ts";
import { UserError } from "../../../src/user-error.ts";
import { libc } from "../../support/sockets.ts";

test("pairs of ports", () => {
  assert.deepEqual(parseExposures("2222:22, 8080:80"), [
    { external: 2222, internal: 22 },
    { external: 8080, internal: 80 },
  ]);
  assert.deepEqual(parseExposures(""), []);
  assert.equal(parseExposures("1:65535,65535:1").length, 2);
});

test("what is none is told in one line", () => {
  const many = Array.from({ length: 257 }, (_, index) => `${index + 1000}:22`).join();
  for (const wrong of [
    "22",
    "0:22",
    "22:0",
    "65536:1",
    "1:65536",
    "22:22:22",
    "2222:22,",
    "a:b",
    "-1:2",
    "2:2,2:3",
    many,
  ]) {
    assert.throws(() => parseExposures(wrong), { name: UserError.name, message: /^--expose[: ][^\n]*$/ }, wrong);
  }
});

for (const address of ["0.0.0.0", "127.0.0.1", "::"]) {
  test(`a port that something listens on at ${address} is refused`, async (t) => {
    const server = createServer();
    t.after(() => server.close());
    const listening = new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(0, address, resolve);
    });
    await listening;
    const { port } = server.address() as { port: number };
    assert.throws(() => reservePorts(libc, [{ external: port, internal: 22 }]), {
      name: UserError.name,
      message: new RegExp(`--expose: port ${port} `),
    });
  });
}

test("a reserved port is nobody else's until it is given back", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const exposure = { external: (server.address() as { port: number }).port, internal: 22 };
  await new Promise((resolve) => server.close(resolve));
  const [fd] = reservePorts(libc, [exposure]);
  assert.throws(() => reservePorts(libc, [exposure]), /another softnet/);
  libc.close(fd!);
  libc.close(reservePorts(libc, [exposure])[0]!);
});
