/**
 * A web server with several names: `named-web.ts ADDRESS KEY CERTIFICATE`. HTTP on port 80 and HTTPS on 443 say which host the
 * request was for, and which name the hello asked for. Prints "ready".
 */
import { readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { TLSSocket } from "node:tls";

const [address, key, certificate] = process.argv.slice(2) as [string, string, string];

const answer: RequestListener = (request, response) => {
  const { servername } = request.socket as TLSSocket;
  response.end(`host=${request.headers.host} hello=${servername || "-"}\n`);
};
const plain = createServer(answer);
const secure = createSecureServer({ key: readFileSync(key), cert: readFileSync(certificate) }, answer);
await Promise.all([
  new Promise<void>((resolve) => plain.listen(80, address, resolve)),
  new Promise<void>((resolve) => secure.listen(443, address, resolve)),
]);
console.log("ready");
