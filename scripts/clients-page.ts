/**
 * Writes docs/clients.md: which DHCP clients work at which servers behind softnet, from the tables of the tests with
 * literal bytes (test/guard) and from what happened with the real programs (test/clients/results.json).
 *
 * node scripts/clients-page.ts
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Results, readResults } from "../test/clients/results.ts";
import { CLIENT_ROWS } from "../test/guard/client-rows.ts";
import { CLIENT_STATES } from "../test/guard/client-states.ts";
import { SERVER_MANNERS } from "../test/guard/server-manners.ts";
import { REAL_CLIENTS } from "../test/lab/harness/real-clients.ts";
import { ALL_SERVER_KINDS, type ServerKind } from "../test/lab/harness/servers.ts";
import { type Outcomes, STATES, type State } from "../test/lab/harness/states.ts";

const PAGE = new URL("../docs/clients.md", import.meta.url);

/** What the tables of literal bytes call a server. */
const MANNERS: Readonly<Record<ServerKind, string>> = {
  dhcpd: "isc-dhcp-server",
  "kea-dhcp4": "kea",
  dnsmasq: "dnsmasq",
  "systemd-networkd": "systemd-networkd",
  udhcpd: "udhcpd",
};

const SAID: Readonly<Record<State, string>> = {
  bound: "INIT and SELECTING: the card comes up for the first time",
  renewed: "the lease goes on: the first confirmation after the start, and the guest is online all along",
  rebooted: "the client is killed and starts again, with what it keeps on its disk",
  restarted: "softnet is killed, and the next one has no record of the VM; the client knows nothing of it",
  paused:
    "the client is stopped for longer than the lease and its card gets no frames, as where the guest sleeps and its clock goes on",
  stopped: "softnet is stopped (SIGSTOP) for longer than the lease, and goes on",
  moved: "the server starts anew without its leases and gives other addresses",
};

export function clientsPage(results: Results): string {
  return [
    INTRODUCTION,
    summary(results),
    STATE_HEAD,
    ...STATES.map((state) => stateTable(state, results)),
    sleep(results),
  ]
    .concat(literal())
    .join("\n\n")
    .concat("\n");
}

const INTRODUCTION = `# DHCP clients and servers

<!-- Written by scripts/clients-page.ts; a test fails where this page does not fit the tests' tables. -->

Which DHCP client binds at which server with softnet between them, and stays bound. A cell says how it was tried: *real*, Debian's
programs of the versions told, in network namespaces (\`npm run test:clients\`), or *literal bytes* before the guard alone
(\`test/guard/clients.test.ts\`): messages written from memory after a client's sources or, for Windows and macOS, its maker's
documentation. Literal bytes show that the guard passes what is written there, not that the client writes it.`;

function summary(results: Results): string {
  const version = (name: string) => results.versions[name] ?? "version unknown";
  const head = ["client", ...ALL_SERVER_KINDS.map((kind) => `${MANNERS[kind]} ${version(kind)}`)];
  const real = REAL_CLIENTS.map(({ name }) => [
    `${name} ${version(name)}`,
    ...ALL_SERVER_KINDS.map((kind) => pairCell(results.pairs[name]?.[kind])),
  ]);
  const roms = Object.entries(results.roms).map(([card, cells]) => [
    `QEMU's ROM for ${card} (iPXE ${version("QEMU's ROMs")})`,
    ...ALL_SERVER_KINDS.map((kind) => (cells[kind] === undefined ? "not tried" : "real: binds; it never renews")),
  ]);
  const rows = CLIENT_ROWS.map((row) => {
    const states = CLIENT_STATES.filter((state) => state.for?.(row) !== false).length;
    return [row.name, ...ALL_SERVER_KINDS.map(() => `literal bytes: binds, ${states} states`)];
  });
  return table([head, ...real, ...roms, ...rows]);
}

function pairCell(outcomes: Outcomes | undefined): string {
  if (outcomes === undefined) return "not tried";
  const failed = STATES.filter((state) => outcomes[state]?.by === "not online");
  const tried = STATES.filter((state) => outcomes[state] !== undefined).length;
  return failed.length === 0 ? `real: binds, ${tried} states` : `real: not online when ${failed.join(", ")}`;
}

const STATE_HEAD = `## State by state

By which message of the real client a server's ACK put it online again, and after how many seconds. Leases are of 20 s, at dnsmasq of
120 s with a renewal at 12 s; the times depend on that, on the client's own patience, and on a busy machine. Nothing but DHCP and
ARP left the guest before that ACK in *restarted*, *paused* and *stopped*.

What takes longer than it would without softnet, and why:

- RENEWING in *restarted* goes to a server that softnet does not know, and drops (\`dhcp.addresses\`); REBINDING is what helps. At dnsmasq and udhcpd the ACK to REBINDING goes
  through the kernel, which looks for the guest's MAC address first where it has forgotten it; softnet without a record drops the guest's
  ARP reply (\`arp.sender-address\`), but repeats the question itself, as INIT-REBOOT, whose ACK is broadcast.

All of the cells are from one run. The longest times in *restarted* are at dnsmasq, since a client with a lease of 120 s begins to
rebind after 105 s (RFC 2131 section 4.4.5); about 45 s of NetworkManager are the time that it gives a transaction (\`dhcp-timeout\`).`;

function stateTable(state: State, results: Results): string {
  const rows = REAL_CLIENTS.map(({ name }) => [
    name,
    ...ALL_SERVER_KINDS.map((kind) => {
      const outcome = results.pairs[name]?.[kind]?.[state];
      if (outcome === undefined) return "not tried";
      return outcome.by === "not online" ? outcome.by : `${outcome.by}, ${outcome.after} s`;
    }),
  ]);
  const head = ["client", ...ALL_SERVER_KINDS.map((kind) => MANNERS[kind])];
  return `**${state}**: ${SAID[state]}.\n\n${table([head, ...rows])}`;
}

function sleep(results: Results): string {
  const rows = Object.entries(results.paused).flatMap(([client, cells]) =>
    Object.entries(cells).map(([server, { by, after }]) => [client, server, `${by}, ${after} s`]),
  );
  return `## A machine that is paused

The client runs in a machine that QEMU pauses for longer than the lease, whose clock stands still: it does not know how late it is,
and its own renewal is enough (\`test/clients/sleep.test.ts\`).

${table([["client", "server", "online again by"], ...rows])}`;
}

function literal(): string {
  const head = ["state", ...CLIENT_ROWS.map(({ name }) => name)];
  const rows = CLIENT_STATES.map((state) => [
    state.name.replace(/^(G\d+ )+/, ""),
    ...CLIENT_ROWS.map((row) => (state.for?.(row) === false ? "never in it" : "online")),
  ]);
  const from = CLIENT_ROWS.filter((row) => row.from === "documentation").map(({ name }) => name);
  return `## Literal bytes

Each cell was tried with the manner of ${SERVER_MANNERS.length} servers: ${SERVER_MANNERS.map(({ name }) => name).join("; ")}. After documentation
only: ${from.join(", ")}; the others after their sources.

${table([head, ...rows])}`;
}

function table(rows: readonly (readonly string[])[]): string {
  const lines = rows.map((row) => `| ${row.join(" | ")} |`);
  lines.splice(1, 0, `|${"---|".repeat(rows[0]!.length)}`);
  return lines.join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(PAGE, clientsPage(readResults()));
