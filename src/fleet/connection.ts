/** A connection to the fleet's NATS servers, through NATS' own client; loaded only for `softnet fleet`. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Authenticator, NatsConnection, NodeConnectionOptions } from "@nats-io/transport-node";
import { AuthorizationError, connect, credsAuthenticator } from "@nats-io/transport-node";
import { UserError } from "../user-error.ts";
import { inboxOf } from "./places.ts";
import { parseServers } from "./servers.ts";

export interface ConnectionArguments {
  /** Comma-separated. */
  readonly nats: string;
  /** A file of NATS credentials. */
  readonly creds?: string;
  /** A file with a user and a password, `USER:PASSWORD` in one line. */
  readonly login?: string;
  /** A file of the certificate authority, PEM. */
  readonly ca?: string;
}

/** Milliseconds until an agent without a connection tries again. */
const AGAIN = 1_000;

/** A connection of an operator's. Throws UserError. */
export async function connectToFleet(args: ConnectionArguments, name: string): Promise<NatsConnection> {
  try {
    return await connect({ ...optionsOf(args, name), maxReconnectAttempts: 3 });
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`--nats ${args.nats}: no connection (${(error as Error).message})${remedyOf(error, args)}`);
  }
}

/**
 * Keeps an agent of `host` connected, now and later: each connection is given to `use`. NATS' client tries for ever to have it
 * again; where it gives up nevertheless, as for a login that is refused, another one is begun, with the credentials that are in
 * their file then. `onTrouble` hears why there is none. Throws UserError at once where a file cannot be read. Returns a
 * function that ends it.
 */
export function keepConnected(
  args: ConnectionArguments,
  host: string,
  use: (connection: NatsConnection) => void,
  onTrouble: (why: string) => void,
): () => Promise<void> {
  optionsOf(args, host); // a mistake in them is told at once
  let connection: NatsConnection | undefined;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const run = async (): Promise<void> => {
    try {
      connection = await connect({
        ...optionsOf(args, `softnet fleet agent ${host}`),
        // So that its answers come by subjects of its own, and no other needs the right to hear them.
        inboxPrefix: inboxOf(host),
        maxReconnectAttempts: -1,
      });
      if (stopped) return await connection.close();
      use(connection);
      const why = await connection.closed();
      if (!stopped) onTrouble(why === undefined ? "the connection was closed" : why.message);
    } catch (error) {
      if (!stopped) onTrouble((error as Error).message);
    }
    if (!stopped) timer = setTimeout(run, AGAIN);
  };
  void run();
  return async () => {
    stopped = true;
    clearTimeout(timer);
    await connection?.close();
  };
}

function remedyOf(error: unknown, { creds, login }: ConnectionArguments): string {
  if (!(error instanceof AuthorizationError)) return "";
  if (creds !== undefined) return `: the credentials of --creds ${creds} are refused`;
  return login === undefined ? ": give --creds FILE or --login FILE" : `: the user of --login ${login} is refused`;
}

/** Throws UserError. */
function optionsOf(args: ConnectionArguments, name: string): NodeConnectionOptions {
  const { servers, tls } = parseServers(args.nats);
  if (args.creds !== undefined && args.login !== undefined) {
    throw new UserError(`--login ${args.login}: leave it out, or --creds ${args.creds}; one of them says who this is`);
  }
  const authenticator = args.creds === undefined ? undefined : readCreds(args.creds);
  const login = args.login === undefined ? undefined : read("--login", args.login).trim();
  const [, user = "", pass = ""] = login === undefined ? [] : (/^([^:]+):(.*)$/.exec(login) ?? []);
  if (login !== undefined && user === "") {
    throw new UserError(`--login ${args.login}: it is not USER:PASSWORD; write one line such as web:secret`);
  }
  const ca = args.ca === undefined ? undefined : readCa(args.ca);
  return {
    servers,
    name,
    ...(authenticator !== undefined && { authenticator }),
    ...(user !== "" && { user, pass }),
    ...((tls || ca !== undefined) && { tls: ca === undefined ? {} : { ca } }),
    reconnectTimeWait: 500,
    pingInterval: 5_000,
    maxPingOut: 2,
  };
}

function readCreds(path: string): Authenticator {
  const authenticator = credsAuthenticator(Buffer.from(read("--creds", path)));
  try {
    authenticator("any"); // NATS' client looks at it only when it connects
    return authenticator;
  } catch {
    throw new UserError(`--creds ${path}: it is no file of NATS credentials (a JWT and a seed); nsc makes one`);
  }
}

function readCa(path: string): string {
  const text = read("--ca", path);
  try {
    void new X509Certificate(text);
    return text;
  } catch {
    throw new UserError(`--ca ${path}: it is no certificate; give the authority's, in PEM`);
  }
}

function read(option: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UserError(`${option} ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
