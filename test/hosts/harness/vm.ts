/** What the tests look at: who reaches whom, and what softnet says. */
import assert from "node:assert/strict";
import type { Guest } from "../../lab/harness/guest.ts";
import type { Namespace } from "../../lab/harness/netns.ts";
import { type Lab, tool } from "../../lab/harness/topology.ts";
import { PATIENCE } from "../../support/patience.ts";

const PYTHON = "/usr/bin/python3";

/** Whether TCP connects. */
export async function connects(from: Namespace, address: string, port: number): Promise<boolean> {
  const script = `import socket; socket.create_connection(("${address}", ${port}), 3).close()`;
  return (await from.run(PYTHON, ["-c", script], PATIENCE)).code === 0;
}

export async function listen(lab: Lab, namespace: Namespace, address: string, port: number): Promise<void> {
  const server = lab.start(namespace, PYTHON, [tool("port.py"), "listen", address, String(port)]);
  await server.line(/^ready$/);
}

/** The command that softnet's line about a firewall ends with. */
export function commandOf(line: string): string {
  const command = /; this lets it through, [^:]*: ([^\n]*)$/.exec(line)?.[1];
  assert.ok(command, `no command in ${line}`);
  return command;
}

/** What a running softnet has warned of so far about firewalls. */
export function warnings(guest: Guest): string[] {
  const all = guest.softnet!.records.filter(({ level }) => level === "warn").map(({ message }) => String(message));
  return all.filter((message) => / drops /.test(message));
}
