/** Asks a DNS server for a name's address and prints it: `resolve.ts SERVER udp|tcp`. */

import { Resolver } from "node:dns/promises";
import { createConnection } from "node:net";

const [server, protocol] = process.argv.slice(2) as [string, string];

if (protocol === "udp") {
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([server]);
  console.log((await resolver.resolve4("softnet.example"))[0]);
} else {
  const name = Buffer.from("\x07softnet\x07example\x00", "latin1");
  const query = Buffer.concat([Buffer.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), name, Buffer.from([0, 1, 0, 1])]);
  const socket = createConnection(53, server);
  socket.setTimeout(5000, () => socket.destroy(new Error("no answer")));
  socket.write(Buffer.concat([Buffer.from([0, query.length]), query]));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  console.log([...Buffer.concat(chunks).subarray(-4)].join("."));
}
