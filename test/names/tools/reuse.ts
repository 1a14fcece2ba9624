/**
 * A client that keeps a connection of HTTP/2 to an allowed host: `reuse.ts ALLOWED ADDRESS OTHER…`. Prints a line for each step:
 * a request to ALLOWED; for each OTHER a new connection to the same address, and a request for it on the kept connection; ALLOWED
 * again.
 */
import { type ClientHttp2Session, connect } from "node:http2";

const [allowed, address, ...others] = process.argv.slice(2) as [string, string, ...string[]];

/** A request's own error says only that its connection has ended; the cause is the connection's. */
function why(error: NodeJS.ErrnoException): string {
  return (error.cause as NodeJS.ErrnoException | undefined)?.code ?? error.code ?? error.message;
}

/** What it answers, a status other than 200, or how the connection ended. */
function ask(session: ClientHttp2Session, host: string): Promise<string> {
  return new Promise((resolve) => {
    session.once("error", (error) => resolve(why(error)));
    const request = session.request({ ":authority": host, ":path": "/" });
    let status = 0;
    let body = "";
    request.once("response", (headers) => {
      status = Number(headers[":status"]);
    });
    request.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    request.once("error", (error) => resolve(why(error)));
    request.once("end", () => resolve(status === 200 ? body.trim() : String(status)));
  });
}

function open(host: string): ClientHttp2Session {
  return connect(`https://${address}`, { rejectUnauthorized: false, servername: host });
}

const kept = open(allowed);
console.log(`allowed: ${await ask(kept, allowed)}`);
for (const other of others) {
  const fresh = open(other);
  console.log(`new ${other}: ${await ask(fresh, other)}`);
  fresh.destroy();
  console.log(`kept ${other}: ${await ask(kept, other)}`);
}
console.log(`again: ${await ask(kept, allowed)}`);
kept.destroy();
