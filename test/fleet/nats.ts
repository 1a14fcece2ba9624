/** Debian's nats-server for tests: one, or a cluster, on loopback with folders of its own. */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Ends } from "../support/folder.ts";

export interface NatsServer {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  kill(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
}

/** Below what the kernel gives to whoever asks for any port, so that no other program gets one of these before its server has it. */
const [LOWEST_PORT, BEYOND_PORTS] = [15_000, 32_000];

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(LOWEST_PORT, BEYOND_PORTS);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** `accounts`: more lines of the configuration. All are up and, as a cluster, know each other. */
export async function natsServers(t: Ends, count = 1, accounts = ""): Promise<NatsServer[]> {
  const folder = mkdtempSync(join(tmpdir(), "softnet-nats-"));
  t.after(async () => {
    await Promise.all(servers.map((server) => server.kill()));
    rmSync(folder, { recursive: true, force: true }); // not before: they write there
  });
  const clients = await freePorts(count);
  const routes = await freePorts(count);
  const servers = clients.map((port, index) => {
    const name = `n${index}`;
    const store = join(folder, name);
    const file = join(folder, `${name}.conf`);
    const cluster =
      count === 1
        ? ""
        : `cluster { name: fleet, listen: "127.0.0.1:${routes[index]}", routes: [${routes.map((route) => `"nats://127.0.0.1:${route}"`).join(", ")}] }`;
    writeFileSync(
      file,
      `server_name: ${name}\nlisten: "127.0.0.1:${port}"\njetstream { store_dir: "${store}", max_mem: 64M, max_file: 256M }\n${cluster}\n${accounts}\n`,
    );
    let child: ReturnType<typeof spawn> | undefined;
    const server: NatsServer = {
      name,
      url: `nats://127.0.0.1:${port}`,
      get pid() {
        return child?.pid ?? -1;
      },
      async start() {
        child = spawn("nats-server", ["-c", file], { stdio: ["ignore", "ignore", "pipe"] });
        let log = "";
        const ready = Promise.withResolvers<void>();
        child.stderr!.on("data", (chunk: Buffer) => {
          log += chunk;
          if (log.includes("Server is ready")) ready.resolve();
        });
        child.once("exit", () => ready.reject(new Error(`nats-server ended\n${log}`)));
        await ready.promise;
      },
      async kill(signal = "SIGKILL") {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, "exit");
        child.kill(signal);
        await gone;
      },
    };
    return server;
  });
  await Promise.all(servers.map((server) => server.start()));
  return servers;
}

export const urlsOf = (servers: readonly NatsServer[]): string => servers.map(({ url }) => url).join(",");

/** A connection of an operator's; closed at the end. */
export async function operator(t: Ends, servers: readonly NatsServer[]): Promise<NatsConnection> {
  const connection = await connect({
    servers: servers.map(({ url }) => url),
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  t.after(() => connection.close());
  return connection;
}
