/**
 * Parses the servers of `--nats`. NATS' client ignores the scheme: with `tls://` it would send the user's password to a server that
 * answers without TLS. So the scheme is read here.
 */
import { UserError } from "../user-error.ts";

const SERVER = /^(?:(nats|tls):\/\/)?((?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([1-9]\d{0,4}))?)\/?$/;
const HIGHEST_PORT = 65_535;

export interface NatsServers {
  /** `HOST` or `HOST:PORT`. */
  readonly servers: string[];
  /** Whether every one must speak TLS. Otherwise those that offer it do. */
  readonly tls: boolean;
}

/** Parses a comma-separated list. One `tls://` is enough for all to need TLS: the client takes any of them. Throws UserError. */
export function parseServers(text: string): NatsServers {
  const servers: string[] = [];
  let tls = false;
  for (const given of text.split(",").map((item) => item.trim())) {
    const [, scheme, server = "", port = "1"] = SERVER.exec(given) ?? [];
    if (server === "" || Number(port) > HIGHEST_PORT) throw wrong(given);
    servers.push(server);
    tls ||= scheme === "tls";
  }
  return { servers, tls };
}

function wrong(given: string): UserError {
  if (given.includes("@"))
    return new UserError("--nats: leave user and password out of it; give --login FILE or --creds FILE");
  return new UserError(
    `--nats ${JSON.stringify(given.slice(0, 200))} is no server: give nats://HOST:PORT or tls://HOST:PORT, comma-separated`,
  );
}
