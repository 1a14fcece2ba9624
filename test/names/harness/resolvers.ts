/** DNS servers for tests of rules by name, each in the foreground, with its files in a folder of its own and no rights of its own. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Guest } from "../../lab/harness/guest.ts";
import type { Namespace } from "../../lab/harness/netns.ts";
import { until } from "../../lab/harness/program.ts";
import { DNS_SERVER, INTERNET, type Lab } from "../../lab/harness/topology.ts";
import type { Tool } from "../../support/tools.ts";

/** The addresses of a name that needs TCP. */
const MANY = Array.from({ length: 90 }, (_, index) => `93.184.216.${index + 1}`);
/** The addresses of a name that rotates: an answer has one of them. PowerDNS only. */
export const POOL = Array.from({ length: 40 }, (_, index) => `93.184.215.${index + 1}`);
/** Aliases between `chain` and its address: as many as the guard follows. */
const CHAIN = 8;

/** Names in example.com that every server here knows. */
const RECORDS = [
  "$TTL 300",
  "$ORIGIN example.com.",
  "@ IN SOA ns hostmaster 1 3600 600 86400 300",
  "@ IN NS ns",
  `ns IN A ${DNS_SERVER}`,
  `good 0 IN A ${INTERNET}`,
  `evil IN A ${INTERNET}`,
  "private IN A 10.77.0.9",
  "alias IN CNAME target",
  `target IN A ${INTERNET}`,
  "chain IN CNAME step1",
  ...Array.from({ length: CHAIN - 1 }, (_, index) => {
    return `step${index + 1} IN CNAME ${index + 2 === CHAIN ? "target" : `step${index + 2}`}`;
  }),
  `many IN A ${INTERNET}`,
  ...MANY.map((address) => `many IN A ${address}`),
];

const zoneOf = (records: readonly string[]): string => [...records, ""].join("\n");

interface Place {
  readonly folder: string;
  readonly address: string;
}

interface Resolver {
  readonly tools: readonly Tool[];
  command(place: Place): readonly string[];
}

/** Unbound, with the zone as its own, or as one that it forwards to. `server`, `zone`: more lines of its configuration. */
function unbound({ folder, address }: Place, server: string, zone: string): readonly string[] {
  writeFileSync(
    join(folder, "conf"),
    `server:\n do-daemonize: no\n username: ""\n chroot: ""\n directory: "${folder}"\n pidfile: ""\n use-syslog: no\n` +
      ` interface: ${address}\n access-control: 0.0.0.0/0 allow\n access-control: ::0/0 allow\n do-not-query-localhost: no\n` +
      ` use-caps-for-id: yes\n${server}remote-control:\n control-enable: no\n${zone}`,
  );
  return ["unbound", "-d", "-p", "-c", join(folder, "conf")];
}

const authZone = (folder: string, downstream: boolean): string =>
  `auth-zone:\n name: "example.com"\n zonefile: "${join(folder, "zone")}"\n for-downstream: ${downstream ? "yes" : "no"}\n` +
  ` for-upstream: ${downstream ? "no" : "yes"}\n`;

export const RESOLVERS = {
  unbound: {
    tools: ["unbound"],
    command: (place) => unbound(place, ' module-config: "iterator"\n', authZone(place.folder, true)),
  },
  /** Unbound that makes AAAA records of A records (RFC 6147), for a network with NAT64. */
  "unbound with DNS64": {
    tools: ["unbound"],
    command: (place) =>
      unbound(place, ' module-config: "dns64 iterator"\n dns64-prefix: 64:ff9b::/96\n', authZone(place.folder, false)),
  },
  named: {
    tools: ["named"],
    command({ folder, address }) {
      writeFileSync(
        join(folder, "conf"),
        `options { directory "${folder}"; pid-file none; listen-on { ${address}; }; listen-on-v6 { none; };\n` +
          ` session-keyfile none; recursion no; dnssec-validation no; };\ncontrols { };\n` +
          `zone "example.com" { type primary; file "${join(folder, "zone")}"; };\n`,
      );
      return ["named", "-g", "-c", join(folder, "conf")];
    },
  },
  /** PowerDNS, which computes the rotating name's answer for each question anew. */
  pdns_server: {
    tools: ["pdns_server", "libbindbackend.so"],
    command({ folder, address }) {
      const pool = `pool 0 IN LUA A "pickrandom({${POOL.map((one) => `'${one}'`).join(",")}})"`;
      writeFileSync(join(folder, "zone"), zoneOf([...RECORDS, pool]));
      writeFileSync(
        join(folder, "named.conf"),
        `zone "example.com" { type master; file "${join(folder, "zone")}"; };\n`,
      );
      const settings = {
        ...{ launch: "bind", "bind-config": join(folder, "named.conf"), "enable-lua-records": "yes" },
        ...{
          "local-address": address,
          "local-port": "53",
          "socket-dir": folder,
          "write-pid": "no",
          "config-dir": folder,
        },
        ...{ daemon: "no", guardian: "no", "disable-syslog": "yes", "zone-cache-refresh-interval": "0" },
      };
      return ["pdns_server", ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`)];
    },
  },
  /** Knot Resolver, which has no zones of its own: it asks PowerDNS at INTERNET. */
  kresd: {
    tools: ["kresd", "pdns_server", "libbindbackend.so"],
    command({ folder, address }) {
      writeFileSync(
        join(folder, "conf"),
        `log_target("stderr")\nnet.listen("${address}", 53, { kind = "dns" })\ncache.size = 10 * MB\n` +
          'trust_anchors.remove(".")\nmodules.unload("ta_update")\nmodules.unload("priming")\n' +
          `policy.add(policy.suffix(policy.STUB({"${INTERNET}"}), policy.todnames({"example.com."})))\n`,
      );
      return ["kresd", "-n", "-c", join(folder, "conf"), folder];
    },
  },
} as const satisfies Readonly<Record<string, Resolver>>;

export type ResolverName = keyof typeof RESOLVERS;

interface GuestResolver extends Resolver {
  /** Whether it asks for the target of an alias itself, also when an answer has all of the chain. */
  readonly asksForTargets: boolean;
}

/** Resolvers in a guest, which ask the announced server alone. */
export const GUEST_RESOLVERS = {
  /** Asks in mixed case, and takes no answer in another one. */
  unbound: {
    tools: ["unbound"],
    command: (place) =>
      unbound(place, ' module-config: "iterator"\n', `forward-zone:\n name: "."\n forward-addr: ${DNS_SERVER}\n`),
    asksForTargets: true,
  },
  named: {
    tools: ["named"],
    command({ folder, address }) {
      writeFileSync(
        join(folder, "conf"),
        `options { directory "${folder}"; pid-file none; listen-on { ${address}; }; listen-on-v6 { none; };\n` +
          ` session-keyfile none; recursion yes; dnssec-validation no; forward only; forwarders { ${DNS_SERVER}; }; };\n` +
          "controls { };\n",
      );
      return ["named", "-g", "-c", join(folder, "conf")];
    },
    asksForTargets: true,
  },
  kresd: {
    tools: ["kresd"],
    command({ folder, address }) {
      writeFileSync(
        join(folder, "conf"),
        `log_target("stderr")\nnet.listen("${address}", 53, { kind = "dns" })\ncache.size = 10 * MB\nnet.ipv6 = false\n` +
          'trust_anchors.remove(".")\nmodules.unload("ta_update")\nmodules.unload("priming")\n' +
          `policy.add(policy.all(policy.FORWARD({"${DNS_SERVER}"})))\n`,
      );
      return ["kresd", "-n", "-c", join(folder, "conf"), folder];
    },
    asksForTargets: true,
  },
  dnsmasq: {
    tools: ["dnsmasq"],
    command: ({ address }) => [
      ...["dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file="],
      ...["--bind-interfaces", `--listen-address=${address}`, `--server=${DNS_SERVER}`],
    ],
    asksForTargets: false,
  },
} as const satisfies Readonly<Record<string, GuestResolver>>;

export type GuestResolverName = keyof typeof GUEST_RESOLVERS;

/** Starts a server with the lab's zone, and waits until it listens; default: as the announced server. */
export async function startResolver(
  lab: Lab,
  name: ResolverName,
  namespace: Namespace = lab.neighbour,
  address: string = DNS_SERVER,
): Promise<void> {
  if (name === "kresd") await startResolver(lab, "pdns_server", lab.internet, INTERNET);
  await startServer(lab, name, RESOLVERS[name], namespace, address);
}

/** Starts a resolver in a guest, at 127.0.0.1. */
export async function startGuestResolver(guest: Guest, name: GuestResolverName): Promise<void> {
  guest.namespace.ip("link", "set", "lo", "up");
  await startServer(guest.lab, `${name} in the guest`, GUEST_RESOLVERS[name], guest.namespace, "127.0.0.1");
}

async function startServer(
  lab: Lab,
  name: string,
  resolver: Resolver,
  namespace: Namespace,
  address: string,
): Promise<void> {
  const folder = join(lab.directory, name.replaceAll(" ", "-"));
  mkdirSync(folder);
  writeFileSync(join(folder, "zone"), zoneOf(RECORDS));
  const [command, ...args] = resolver.command({ folder, address });
  const server = lab.start(namespace, command!, args);
  await until(`${name} listens`, async () => {
    assert.equal(server.exit, undefined, server.text());
    const { stdout } = await namespace.run("ss", ["-lnu"]);
    return stdout.includes(address.includes(":") ? `[${address}]:53` : `${address}:53`);
  });
}
