/** A connection to the fleet's NATS servers, through NATS' own client; loaded only for `softnet fleet`. */
import { readFileSync } from "node:fs";
import type { NatsConnection } from "@nats-io/transport-node";
import { connect, credsAuthenticator } from "@nats-io/transport-node";
import { UserError } from "../user-error.ts";
import { inboxOf } from "./places.ts";

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

/**
 * `agentOf`: the host of an agent, which goes on trying where no server answers, now and later, and whose answers come by subjects of
 * its own, so that no other needs the right to hear them. Throws UserError.
 */
export async function connectToFleet(
  args: ConnectionArguments,
  name: string,
  agentOf?: string,
): Promise<NatsConnection> {
  const waits = agentOf !== undefined;
  const read = (option: string, path: string): string => {
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      throw new UserError(`${option} ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  };
  const creds = args.creds === undefined ? undefined : Buffer.from(read("--creds", args.creds));
  const login = args.login === undefined ? undefined : read("--login", args.login).trim();
  const [, user = "", pass = ""] = login === undefined ? [] : (/^([^:]+):(.*)$/.exec(login) ?? []);
  if (login !== undefined && user === "") throw new UserError(`--login ${args.login}: it is not USER:PASSWORD`);
  try {
    return await connect({
      servers: args.nats.split(","),
      name,
      ...(creds !== undefined && { authenticator: credsAuthenticator(creds) }),
      ...(user !== "" && { user, pass }),
      ...(agentOf !== undefined && { inboxPrefix: inboxOf(agentOf) }),
      ...(args.ca !== undefined && { tls: { ca: read("--ca", args.ca) } }),
      maxReconnectAttempts: waits ? -1 : 3,
      waitOnFirstConnect: waits,
      reconnectTimeWait: 500,
      pingInterval: 5_000,
      maxPingOut: 2,
      ignoreAuthErrorAbort: waits,
    });
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`--nats ${args.nats}: no connection (${(error as Error).message})`);
  }
}
