/**
 * HTTP and DNS for the lab: `services.ts --http ADDRESS --dns ADDRESS`. `GET /N` answers N bytes of a known pattern on
 * port 80, `POST /` how many bytes of it came, or -1; every question for a name is answered with 9.9.9.9, on port 53 over UDP and TCP. Prints "ready".
 */
import { createSocket } from "node:dgram";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { parseArgs } from "node:util";
import { pattern } from "./pattern.ts";

const { values } = parseArgs({ options: { http: { type: "string" }, dns: { type: "string" } } });

/** The answer to a DNS query: its question, and one A record with 9.9.9.9. */
function answer(query: Buffer): Buffer {
  let end = 12;
  while (end < query.length && query[end] !== 0) end += query[end]! + 1;
  const question = query.subarray(12, end + 5);
  const header = Buffer.from([query[0]!, query[1]!, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 9, 9, 9, 9]);
  return Buffer.concat([header, question, record]);
}

const listening: Promise<void>[] = [];

if (values.http !== undefined) {
  const server = createHttpServer((request, response) => {
    if (request.method === "POST") {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = Buffer.concat(chunks);
        response.end(String(body.equals(pattern(body.length)) ? body.length : -1));
      });
      return;
    }
    const size = Number(request.url?.slice(1)) || 0;
    response.setHeader("content-length", size);
    response.end(pattern(size));
  });
  listening.push(new Promise((resolve) => server.listen(80, values.http, resolve)));
}

if (values.dns !== undefined) {
  const udp = createSocket("udp4");
  udp.on("message", (query, from) => udp.send(answer(query), from.port, from.address));
  listening.push(new Promise((resolve) => udp.bind(53, values.dns, resolve)));
  const tcp = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (data: Buffer) => {
      const reply = answer(data.subarray(2));
      socket.end(Buffer.concat([Buffer.from([reply.length >> 8, reply.length & 255]), reply]));
    });
  });
  listening.push(new Promise((resolve) => tcp.listen(53, values.dns, resolve)));
}

await Promise.all(listening);
console.log("ready");
