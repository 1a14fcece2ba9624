/** What real clients send first, each to a socket on loopback, and then to softnet's readers in pieces of any size. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import http from "node:http";
import { createServer } from "node:net";
import { test } from "node:test";
import { connect } from "node:tls";
import { formatDomainName } from "../../src/wire/domain-name.ts";
import { HEAD_MORE, HEAD_NAMED, HEAD_OTHER_VERSION, HttpHead } from "../../src/wire/http-head.ts";
import { HELLO_MORE, TlsHello } from "../../src/wire/tls-hello.ts";
import { LIMIT } from "../support/patience.ts";
import { mustHave, needs, needsLoopback, pathOf, type Tool } from "../support/tools.ts";
import { handshakeOf, oracleName, readHello, records } from "./tls-support.ts";

const HOST = "Files.example";

/** Starts a client with the port to connect to, and returns how to end it. */
type Client = (port: number) => () => void;

/** A program that is ended when its first bytes are there. */
const program =
  (tool: Tool, args: (port: number) => readonly string[]): Client =>
  (port) => {
    mustHave(tool);
    const child = spawn(pathOf(tool)!, args(port), { stdio: ["pipe", "ignore", "ignore"] });
    return () => child.kill("SIGKILL");
  };

const openssl = (...more: readonly string[]): Client =>
  program("openssl", (port) => ["s_client", "-connect", `127.0.0.1:${port}`, ...more]);

const gnutls = (...more: readonly string[]): Client =>
  program("gnutls-cli", (port) => ["--insecure", "-p", String(port), ...more, "127.0.0.1"]);

const curl = (scheme: string, ...more: readonly string[]): Client =>
  program("curl", (port) => [
    ...["--disable", "--noproxy", "*", "--insecure", "--silent", "--resolve", `${HOST}:${port}:127.0.0.1`],
    ...more,
    `${scheme}://${HOST}:${port}/where?q=now`,
  ]);

const node = (options: { servername?: string; [option: string]: unknown }): Client => {
  return (port) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
    socket.on("error", () => {}); // its server never answers, and closes
    return () => socket.destroy();
  };
};

/** What a client sends until a reader says that it has seen enough. */
async function firstBytes(client: Client, isEnough: (stream: Buffer) => boolean): Promise<Buffer> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const end = client(address.port);
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      server.once("connection", (socket) => {
        let stream: Buffer = Buffer.alloc(0);
        socket.on("data", (data: Buffer) => {
          stream = Buffer.concat([stream, data]);
          if (isEnough(stream)) resolve(stream);
        });
        socket.on("error", reject);
        socket.on("close", () => reject(new Error(`closed after ${stream.toString("hex")}`)));
      });
    });
  } finally {
    end();
    server.close();
  }
}

const isWholeHello = (stream: Buffer): boolean => {
  const reader = new TlsHello();
  reader.start();
  return reader.feed(stream, 0, stream.length) !== HELLO_MORE;
};

async function helloOf(client: Client): Promise<Buffer> {
  return await firstBytes(client, isWholeHello);
}

/** In one piece, byte by byte, in segments; and cut into other records. */
function readEveryWay(stream: Buffer): string {
  const said = readHello(stream);
  for (const sizes of [[1], [2], [5, 1], [536], [1400, 7], [stream.length - 1, 1]]) {
    assert.equal(readHello(stream, sizes), said, `pieces of ${sizes}`);
  }
  for (const size of [1, 37, 512]) assert.equal(readHello(records(handshakeOf(stream), size), [100]), said);
  return said;
}

const named: readonly (readonly [string, readonly Tool[], Client])[] = [
  ["openssl s_client", ["openssl"], openssl("-servername", HOST)],
  ["openssl s_client with TLS 1.2", ["openssl"], openssl("-servername", HOST, "-tls1_2")],
  [
    "openssl s_client with records of 512 bytes",
    ["openssl"],
    openssl(
      "-servername",
      HOST,
      "-max_send_frag",
      "512",
      "-groups",
      "P-521:X25519:P-256:X448",
      "-alpn",
      `${"a".repeat(200)},${"b".repeat(200)}`,
    ),
  ],
  ["gnutls-cli", ["gnutls-cli"], gnutls("--sni-hostname", HOST)],
  [
    "gnutls-cli with TLS 1.2",
    ["gnutls-cli"],
    gnutls("--sni-hostname", HOST, "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2"),
  ],
  ["curl", ["curl"], curl("https")],
  ["curl with HTTP/1.1 and TLS 1.2", ["curl"], curl("https", "--http1.1", "--tls-max", "1.2")],
  ["Node", [], node({ servername: HOST })],
  ["Node with TLS 1.2", [], node({ servername: HOST, maxVersion: "TLSv1.2" })],
  [
    "Node with ALPN and groups",
    [],
    node({ servername: HOST, ALPNProtocols: ["h2", "http/1.1"], ecdhCurve: "P-384:X25519" }),
  ],
];

for (const [what, tools, client] of named) {
  test(`the hello of ${what}, in any pieces`, { ...needs(...tools), ...needsLoopback(), ...LIMIT }, async () => {
    const stream = await helloOf(client);
    assert.equal(readEveryWay(stream), HOST.toLowerCase());
    assert.equal((await oracleName(stream))?.toLowerCase(), HOST.toLowerCase());
  });
}

test("openssl's hello in records of 512 bytes does come in more than one", {
  ...needs("openssl"),
  ...LIMIT,
}, async () => {
  const stream = await helloOf(named[2]![2]);
  assert.ok(handshakeOf(stream).length > 512);
  assert.equal(stream.readUInt16BE(3), 512);
});

const nameless: readonly (readonly [string, readonly Tool[], Client])[] = [
  ["openssl s_client -noservername", ["openssl"], openssl("-noservername")],
  ["gnutls-cli to an address", ["gnutls-cli"], gnutls("--disable-sni")],
  ["Node to an address", [], node({})],
];

for (const [what, tools, client] of nameless) {
  test(`no name in the hello of ${what}`, { ...needs(...tools), ...needsLoopback(), ...LIMIT }, async () => {
    const stream = await helloOf(client);
    assert.equal(readEveryWay(stream), "nameless");
    assert.equal(await oracleName(stream), undefined);
  });
}

test("Node's post-quantum key share makes a hello longer than one segment", {
  ...needsLoopback(),
  ...LIMIT,
}, async () => {
  const stream = await helloOf(node({ servername: HOST, ecdhCurve: "X25519MLKEM768" }));
  assert.ok(stream.length > 1460, `${stream.length} bytes`);
  assert.equal(readHello(stream.subarray(0, 1200)), "more");
  assert.equal(readEveryWay(stream), HOST.toLowerCase());
});

function readHead(stream: Buffer, size: number): HttpHead {
  const reader = new HttpHead();
  reader.start();
  for (let at = 0; at < stream.length; at += size) reader.feed(stream, at, Math.min(size, stream.length - at));
  return reader;
}

const isWholeHead = (stream: Buffer): boolean => readHead(stream, stream.length).state !== HEAD_MORE;

const requests: readonly (readonly [string, readonly Tool[], Client])[] = [
  ["curl", ["curl"], curl("http")],
  ["curl with a long cookie and a body", ["curl"], curl("http", "--cookie", `a=${"b".repeat(3000)}`, "--data", "x=y")],
  ["curl with HTTP/1.0", ["curl"], curl("http", "--http1.0")],
  [
    "Node",
    [],
    (port) => {
      const request = http.get({ host: "127.0.0.1", port, headers: { Host: `${HOST}:${port}` } });
      request.on("error", () => {});
      return () => request.destroy();
    },
  ],
];

for (const [what, tools, client] of requests) {
  test(`the request of ${what}, in any pieces`, { ...needs(...tools), ...needsLoopback(), ...LIMIT }, async () => {
    const stream = await firstBytes(client, isWholeHead);
    for (const size of [stream.length, 1, 7, 536]) {
      const { state, host } = readHead(stream, size);
      assert.equal(state, HEAD_NAMED);
      assert.equal(formatDomainName(host.name.labels), HOST.toLowerCase());
      assert.ok(host.port > 0);
    }
  });
}

test("curl's HTTP/2 without TLS is another version", { ...needs("curl"), ...needsLoopback(), ...LIMIT }, async () => {
  const stream = await firstBytes(curl("http", "--http2-prior-knowledge"), isWholeHead);
  for (const size of [stream.length, 1]) assert.equal(readHead(stream, size).state, HEAD_OTHER_VERSION);
});
