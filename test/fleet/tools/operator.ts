/**
 * An operator in a namespace of a lab: one request a line on standard input, its answer a line on standard output.
 *
 * operator.ts URLS USER PASSWORD
 */
import { createInterface } from "node:readline";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { getDocument, initialize, listVms, setDocument } from "../../../src/fleet/operator.ts";

/** What an operator may be asked; `id` comes back with the answer. */
export type OperatorRequest =
  | { readonly do: "init"; readonly replicas: number }
  | { readonly do: "set"; readonly key: string; readonly text?: string; readonly revision?: number }
  | { readonly do: "get"; readonly key: string }
  | { readonly do: "list" }
  | { readonly do: "leader"; readonly stream: string };

const [urls = "", user = "", pass = ""] = process.argv.slice(2);
const connection = await connect({
  servers: urls.split(","),
  user,
  pass,
  maxReconnectAttempts: -1,
  reconnectTimeWait: 100,
  waitOnFirstConnect: true,
  ignoreAuthErrorAbort: true,
  pingInterval: 2_000,
});

async function answer(request: OperatorRequest): Promise<unknown> {
  switch (request.do) {
    case "init":
      return await initialize(connection, request.replicas);
    case "set":
      return await setDocument(connection, request.key, request.text, request.revision);
    case "get":
      return await getDocument(connection, request.key);
    case "list":
      return await listVms(connection);
    case "leader":
      return (await (await jetstreamManager(connection)).streams.info(request.stream)).cluster?.leader;
  }
}

console.log("connected");
for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...request } = JSON.parse(line) as OperatorRequest & { readonly id: number };
  const said = await answer(request as OperatorRequest).then(
    (result) => ({ id, result: result ?? null }),
    (error: Error) => ({ id, error: error.message }),
  );
  console.log(JSON.stringify(said));
}
process.exit();
