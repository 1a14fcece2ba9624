/** One question after the other on a connection that is kept, whatever becomes of it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { KeptLine } from "../../src/operate/kept-line.ts";
import { temporaryFolder } from "../support/folder.ts";
import { PATIENCE } from "../support/patience.ts";

interface Softnet {
  readonly server: Server;
  readonly sockets: Socket[];
}

/** What it is asked it says again; `softnet.no` it refuses, and to `softnet.silence` it says nothing. */
async function listen(t: TestContext, path: string): Promise<Softnet> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    createInterface({ input: socket }).on("line", (line) => {
      const { id, method } = JSON.parse(line);
      if (method === "softnet.silence") return;
      const said = method === "softnet.no" ? { error: { code: -32_602, message: "no" } } : { result: { method } };
      socket.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...said })}\n`);
    });
  });
  server.listen(path);
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, sockets };
}

function lineTo(t: TestContext, path: string, within = PATIENCE): KeptLine {
  const line = new KeptLine(path, within);
  t.after(() => line.close());
  return line;
}

test("questions that come together are asked one after the other, on one connection", async (t) => {
  const path = join(temporaryFolder(t), "ctl");
  const { sockets } = await listen(t, path);
  const line = lineTo(t, path);
  const methods = Array.from({ length: 20 }, (_, index) => `softnet.${index}`);
  const asked = await Promise.all(methods.map((method) => line.ask(method)));
  assert.deepEqual(
    asked,
    methods.map((method) => ({ path, answer: { method } })),
  );
  assert.equal(sockets.length, 1);
});

test("where softnet has closed the connection, the question is asked on a new one", async (t) => {
  const path = join(temporaryFolder(t), "ctl");
  const { sockets } = await listen(t, path);
  const line = lineTo(t, path);
  await line.ask("softnet.status");
  sockets[0]!.destroy();
  assert.ok("answer" in (await line.ask("softnet.status")));
  assert.equal(sockets.length, 2);
});

test("what softnet refuses is said in its words, and the next question is answered", async (t) => {
  const path = join(temporaryFolder(t), "ctl");
  await listen(t, path);
  const line = lineTo(t, path);
  await line.ask("softnet.status");
  assert.deepEqual(await line.ask("softnet.no"), { path, error: "no", gone: false });
  assert.ok("answer" in (await line.ask("softnet.status")));
});

test("no softnet is told apart from one that does not answer, and a new one is asked", async (t) => {
  const path = join(temporaryFolder(t), "ctl");
  const line = lineTo(t, path, 300);
  const gone = await line.ask("softnet.status");
  assert.ok("error" in gone && gone.gone);
  await listen(t, path);
  const late = await line.ask("softnet.silence");
  assert.ok("error" in late && !late.gone && /no answer within 0\.3 s/.test(late.error));
});

test("once closed it keeps no connection, also of a question that was under way", async (t) => {
  const path = join(temporaryFolder(t), "ctl");
  const { sockets } = await listen(t, path);
  const line = lineTo(t, path);
  const asked = line.ask("softnet.status");
  line.close();
  await asked;
  if (!sockets[0]!.closed) await once(sockets[0]!, "close");
});
