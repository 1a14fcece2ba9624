/** One question for many softnets: whoever does not answer, or not with an answer, keeps nobody waiting. */
import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { AT_ONCE, askAll } from "../../src/operate/ask.ts";
import { temporaryFolder } from "../support/folder.ts";

const WITHIN = 300;

async function listen(t: TestContext, path: string, serve: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    serve(socket);
  }).listen(path);
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.once("listening", resolve));
  return path;
}

function sendForEver(socket: Socket, text: string): void {
  socket.write(text, (error) => {
    if (!error && !socket.destroyed) setImmediate(sendForEver, socket, text);
  });
}

const answering =
  (result: object, onAsked = () => {}) =>
  (socket: Socket): void => {
    createInterface({ input: socket }).on("line", (line) => {
      onAsked();
      socket.write(`${JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(line).id, result })}\n`);
    });
  };

test("each answers or says why not, in the order of the paths", async (t) => {
  const folder = temporaryFolder(t);
  const at = (name: string): string => join(folder, name);
  const good = await listen(t, at("good"), answering({ version: "1" }));
  const silent = await listen(t, at("silent"), () => {});
  const other = await listen(t, at("other"), (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n"));
  const closing = await listen(t, at("closing"), (socket) => socket.end());
  const endless = await listen(t, at("endless"), (socket) => {
    sendForEver(socket, "x".repeat(65_536));
  });
  const talking = await listen(t, at("talking"), (socket) => {
    sendForEver(socket, '{"jsonrpc":"2.0","method":"softnet.event","params":{}}\n');
  });
  const paths = [at("none"), silent, good, other, closing, endless, talking];
  const results = await askAll(paths, "softnet.status", {}, WITHIN);
  assert.deepEqual(
    results.map(({ path }) => path),
    paths,
  );
  assert.deepEqual(results[2], { path: good, answer: { version: "1" } });
  const why = results.map((one) => ("error" in one ? [one.error.slice(one.path.length), one.gone] : one));
  assert.deepEqual(why[0], [": there is no such socket; softnet makes one with --control-socket PATH", true]);
  assert.deepEqual(why[1], [": no answer within 0.3 s", false]);
  assert.deepEqual(why[3], [": the program that listens there is not softnet", false]);
  assert.deepEqual(why[4], [": no answer to softnet.status", false]);
  for (const one of [why[5], why[6]])
    assert.match(String(one), /: no answer (?:within 0\.3 s|to softnet\.status),false$/);
});

test("no more are asked at once than AT_ONCE", async (t) => {
  const folder = temporaryFolder(t);
  let open = 0;
  let most = 0;
  const paths: string[] = [];
  for (let index = 0; index < AT_ONCE + 8; index++) {
    const serve = answering({}, () => open--);
    paths.push(
      await listen(t, join(folder, String(index)), (socket) => {
        most = Math.max(most, ++open);
        setTimeout(() => serve(socket), 20);
      }),
    );
  }
  const results = await askAll(paths, "softnet.status");
  assert.equal(results.filter((one) => "answer" in one).length, paths.length);
  assert.ok(most <= AT_ONCE, `${most} at once`);
});
