/**
 * `softnet metrics --listen`: the exposition by HTTP for a Prometheus on this host, in a process that has no rights but to ask
 * softnets of its user. Who connects is not trusted: connections, headers and times are bounded, and however many ask, the VMs
 * are asked once at a time and at most once a second.
 */
import { existsSync, lstatSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createConnection } from "node:net";
import { dirname } from "node:path";
import { CONTENT_TYPES, type Exposition, type ExpositionFormat } from "../../telemetry/exposition.ts";
import { UserError } from "../../user-error.ts";
import type { ListenAddress } from "./address.ts";
import { removeLeftover } from "./leftover.ts";

const MOST_CONNECTIONS = 16;
const LONGEST_HEADERS = 8_192;

/** Milliseconds to send a request, and that a connection may be without any traffic. */
const REQUEST_WITHIN = 5_000;
/** Milliseconds for a whole answer, whatever its reader takes of it. */
const ANSWER_WITHIN = 20_000;
/** Milliseconds for which what was gathered is given to others who ask. */
const FRESH_FOR = 1_000;

export interface MetricsServer {
  /** Ends all connections, and removes the path of a unix socket. */
  close(): Promise<void>;
}

/** Resolves once it listens. Throws UserError, which names the option. */
export async function serveMetrics(
  address: ListenAddress,
  gather: () => Promise<Exposition>,
  option = "--listen",
): Promise<MetricsServer> {
  const current = shared(gather);
  const names = "port" in address ? hostsOf(address) : undefined;
  const server = createServer(
    {
      maxHeaderSize: LONGEST_HEADERS,
      headersTimeout: REQUEST_WITHIN,
      requestTimeout: REQUEST_WITHIN,
      keepAliveTimeout: REQUEST_WITHIN,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      const over = setTimeout(() => request.socket.destroy(), ANSWER_WITHIN);
      response.once("close", () => clearTimeout(over));
      answer(request, response, current, names).catch(() => request.socket.destroy());
    },
  );
  server.maxConnections = MOST_CONNECTIONS;
  server.setTimeout(REQUEST_WITHIN, (socket) => socket.destroy());
  await listen(server, address, option);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  current: () => Promise<Exposition>,
  names: readonly string[] | undefined,
): Promise<void> {
  const { method, url, headers } = request;
  // A page in a browser on this host may have a name of its own for this address (DNS rebinding).
  if (names !== undefined && !names.includes(headers.host ?? "")) return end(response, 421, "ask for 127.0.0.1\n");
  if (url?.split("?", 1)[0] !== "/metrics") return end(response, 404, "there is only /metrics\n");
  if (method !== "GET" && method !== "HEAD") return end(response, 405, "there is only GET\n");
  const format: ExpositionFormat = headers.accept?.includes("application/openmetrics-text")
    ? "openmetrics"
    : "prometheus";
  const text = (await current()).render(format);
  response.setHeader("Content-Type", CONTENT_TYPES[format]);
  response.end(method === "HEAD" ? undefined : text);
}

/** A request's body is not read: the connection ends. */
function end(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Content-Type": "text/plain", Connection: "close" }).end(text);
}

/** What `Host` may be. */
function hostsOf({ host, port }: { readonly host: string; readonly port: number }): string[] {
  const shown = host.includes(":") ? `[${host}]` : host;
  return [`${shown}:${port}`, `localhost:${port}`, ...(port === 80 ? [shown, "localhost"] : [])];
}

/** Gathers once for all who ask at the same time, and soon after. */
function shared(gather: () => Promise<Exposition>): () => Promise<Exposition> {
  let last: Promise<Exposition> | undefined;
  return () => {
    if (last !== undefined) return last;
    const gathered = gather();
    last = gathered;
    const forget = (): void => {
      last = undefined;
    };
    gathered.then(() => setTimeout(forget, FRESH_FOR).unref(), forget);
    return gathered;
  };
}

async function listen(server: Server, address: ListenAddress, option: string): Promise<void> {
  const attempt = (): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(address, () => {
        server.off("error", reject);
        resolve();
      });
    });
  try {
    await attempt().catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE" || !("path" in address) || (await isAlive(address.path))) throw error;
      removeLeftover(address.path, option);
      await attempt();
    });
  } catch (error) {
    if (error instanceof UserError) throw error;
    const where = "path" in address ? `unix:${address.path}` : `${address.host}:${address.port}`;
    throw new UserError(`${option} ${where}: ${describe(error as NodeJS.ErrnoException, address)}`);
  }
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    // A file that this user may not write to would say EACCES.
    if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false) return resolve(false);
    const socket = createConnection(path);
    socket
      .once("connect", () => resolve(true))
      .once("error", ({ message }) => resolve(!message.includes("ECONNREFUSED")));
    socket.once("connect", () => socket.destroy());
  });
}

function describe({ code, message }: NodeJS.ErrnoException, address: ListenAddress): string {
  if (code === "EADDRINUSE") return "another program listens there: choose another one, or end that program";
  // libuv says EACCES also where the folder is missing.
  if (code === "EACCES" && "path" in address && !existsSync(dirname(address.path))) {
    return "there is no such folder, or this user may not enter it: choose another one";
  }
  if (code === "EACCES") return "this user may not listen there: choose a folder of its own, or a port above 1023";
  return message;
}
