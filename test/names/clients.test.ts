/**
 * Rules by name with the programs that CI jobs are made of, each unchanged and with its own resolver and TLS: `npm run test:names`.
 * Each gets what it wants from an allowed name, and from a forbidden one what gets through without softnet fails with an error of
 * the network's (no time-out), whether the program looks the name up, knows its address, or knows one that an allowed name has.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { lease } from "../lab/harness/clients.ts";
import type { Guest } from "../lab/harness/guest.ts";
import { dropsOf, openNameScene, startDnsmasq } from "../lab/harness/names.ts";
import type { Output } from "../lab/harness/program.ts";
import { DNS_SERVER, INTERNET, INTERNET_2, type Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { needs, type Tool } from "../support/tools.ts";
import { type Origin, PACKAGE, PAGE, PRIVATE_GIT, startOrigin, VERSION } from "./harness/origin.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "openssl"), ...LIMIT };
const SERVER = ["nginx", "fcgiwrap", "git", "dpkg-deb"] as const satisfies readonly Tool[];
const GOOD = "good.example.com";
const EVIL = "evil.example.com";

/** Seconds after which a program that waits for an answer is ended, with code 124. */
const WAITS = 100;

interface Client {
  readonly tool: Tool;
  /** A shell's command; $HOST is the name, $CA the authority's file; its folder is empty and its own. */
  readonly command: string;
  /** What it prints where it gets through. */
  readonly through: RegExp;
  /** What it says of a name that does not exist, of a refused connection, and of one that is reset in its hello. */
  readonly unknown: RegExp;
  readonly refused: RegExp;
  readonly reset: RegExp;
}

const CLIENTS: readonly Client[] = [
  {
    tool: "curl",
    command: "curl -sS --cacert $CA https://$HOST/page",
    through: new RegExp(PAGE),
    unknown: /Could not resolve host/,
    refused: /Failed to connect|Couldn't connect/,
    reset: /Connection reset by peer/,
  },
  {
    tool: "wget",
    command: "wget -O - --ca-certificate=$CA https://$HOST/page",
    through: new RegExp(PAGE),
    unknown: /unable to resolve host address/,
    refused: /Connection refused/,
    reset: /Unable to establish SSL connection/,
  },
  {
    tool: "apt-get",
    command:
      'mkdir -p etc state/lists/partial cache; touch status; echo "deb [trusted=yes] https://$HOST/debian ./" > etc/sources.list; ' +
      'echo "Dir::Etc \\"$PWD/etc\\"; Dir::State \\"$PWD/state\\"; Dir::State::status \\"$PWD/status\\"; Dir::Cache \\"$PWD/cache\\"; ' +
      'APT::Sandbox::User \\"root\\"; Acquire::https::CAInfo \\"$CA\\";" > apt.conf; export APT_CONFIG=$PWD/apt.conf; ' +
      `apt-get --error-on=any update && apt-get download ${PACKAGE} && ls`,
    through: new RegExp(`^${PACKAGE}_${VERSION}_all\\.deb$`, "m"),
    unknown: /Could not resolve/,
    refused: /Could not connect|Connection refused/,
    reset: /Could not handshake|reset by peer/,
  },
  {
    tool: "npm",
    // By default it tries twice more, after 10 s and after 60 s, whatever the error is.
    command:
      "touch user global; npm install --userconfig=user --globalconfig=global --cache=cache --cafile=$CA --no-audit --no-fund " +
      `--fetch-retries=0 --registry=https://$HOST/npm/ ${PACKAGE} && cat node_modules/${PACKAGE}/package.json`,
    through: new RegExp(`"version":"${VERSION}"`),
    unknown: /ENOTFOUND/,
    refused: /ECONNREFUSED/,
    reset: /ECONNRESET/,
  },
  {
    tool: "git",
    // By files (the dumb protocol), and by talking with git-http-backend, as all large hosters have it.
    command:
      "set -e; for path in tiny.git smart/tiny.git; do git -c http.sslCAInfo=$CA clone https://$HOST/$path clone; " +
      "cat clone/README; rm -r clone; done",
    through: new RegExp(`${PAGE}\n${PAGE}`),
    unknown: /Could not resolve host/,
    refused: /Failed to connect|Couldn't connect/,
    reset: /reset by peer|GnuTLS recv error|TLS connection/,
  },
];

let created = 0;

/** Runs a client in a guest, with an environment and a folder of its own; `hosts`: the lines of its /etc/hosts. */
function start(lab: Lab, guest: Guest, { command }: Client, host: string, origin: Origin, hosts = ""): Promise<Output> {
  const folder = join(lab.directory, `client${++created}`);
  mkdirSync(folder);
  writeFileSync(join(folder, "..", "resolv.conf"), `nameserver ${DNS_SERVER}\n`);
  writeFileSync(join(folder, "..", "hosts"), hosts);
  const mounts = 'mount --bind ../resolv.conf /etc/resolv.conf; mount --bind ../hosts /etc/hosts; exec "$@"';
  const settings = {
    PATH: process.env.PATH,
    HOME: folder,
    LC_ALL: "C",
    HOST: host,
    CA: origin.authority,
    ...PRIVATE_GIT,
  };
  const clean = ["env", "-i", ...Object.entries(settings).map(([name, value]) => `${name}=${value}`)];
  return guest.namespace.run("unshare", [
    ...["-m", "--propagation", "private", `--wd=${folder}`, "sh", "-c", mounts, "sh"],
    ...[...clean, "timeout", String(WAITS), "sh", "-c", command],
  ]);
}

suite("rules by name with the programs of CI jobs", () => {
  for (const client of CLIENTS) {
    test(`N1 N3 ${client.tool} gets what an allowed name has; of a forbidden one it fails without waiting, with the reason`, {
      ...NEEDS,
      ...needs(client.tool, ...SERVER),
    }, async (t) => {
      const resolver = (lab: Lab): Promise<unknown> =>
        startDnsmasq(
          lab,
          lab.neighbour,
          DNS_SERVER,
          [GOOD, EVIL].map((name) => `--host-record=${name},${INTERNET_2}`),
        );
      const scene = await openNameScene(t, GOOD, resolver);
      const { lab, guest } = scene;
      const origin = await startOrigin(lab, [GOOD, EVIL]);
      const bare = await lab.guest({ bare: true });
      await lease(bare);

      const good = await start(lab, guest, client, GOOD, origin);
      assert.match(good.stdout, client.through, good.stderr);
      const open = await start(lab, bare, client, EVIL, origin);
      assert.match(open.stdout, client.through, `without softnet: ${open.stderr}`);

      for (const [what, said, reason, hosts] of [
        ["it looks the name up", client.unknown, "dns.denied"],
        ["it knows the address", client.refused, "name.unpinned", `${INTERNET} ${EVIL}\n`],
        ["it knows an allowed name's address", client.reset, "name.denied", `${INTERNET_2} ${EVIL}\n`],
      ] as const) {
        const before = (await dropsOf(scene.client!))[reason] ?? 0;
        const begin = performance.now();
        const denied = await start(lab, guest, client, EVIL, origin, hosts);
        t.diagnostic(
          `${client.tool}, ${what}: ${((performance.now() - begin) / 1000).toFixed(1)} s, code ${denied.code}`,
        );
        const printed = `${denied.stdout}\n${denied.stderr}`;
        assert.doesNotMatch(printed, client.through, what);
        assert.match(printed, said, what);
        assert.ok(denied.code !== 0 && denied.code !== 124, `${what}: code ${denied.code}, ${printed}`);
        assert.ok(((await dropsOf(scene.client!))[reason] ?? 0) > before, `${what}: ${reason}`);
      }
    });
  }
});
