/**
 * Programs that carry traffic in DNS, with their servers behind the announced resolver, which asks them as it asks any server:
 * `npm run test:names`. Each gets through for a VM without softnet and for one whose policy has no names; a list stops it.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { lease } from "../lab/harness/clients.ts";
import type { Guest } from "../lab/harness/guest.ts";
import { CURL, dropsOf, openNameScene, startDnsmasq } from "../lab/harness/names.ts";
import { type Program, until } from "../lab/harness/program.ts";
import { DNS_SERVER, INTERNET, type Lab, labNeeds } from "../lab/harness/topology.ts";
import { LIMIT } from "../support/patience.ts";
import { needs, type Tool } from "../support/tools.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
const DOMAIN = "tunnel.example.net";
const SECRET = "lab";
/** The end of iodine's tunnel in the internet. */
const FAR_END = "10.99.0.1";
/** Where dns2tcp's client listens. */
const LOCAL_PORT = 8888;

interface Tunnel {
  readonly tools: readonly Tool[];
  /** Starts the server, at INTERNET. */
  serve(lab: Lab): Promise<void>;
  /** Starts the client, which asks the announced server. */
  start(guest: Guest): Program;
  /** Whether something goes through the tunnel; asked again and again while the client runs. */
  through(guest: Guest): Promise<boolean>;
  /** What the client says where the names of the tunnel do not exist. */
  readonly denied: RegExp;
}

const TUNNELS = {
  iodine: {
    tools: ["iodine", "iodined"],
    async serve(lab) {
      const server = lab.start(lab.internet, "iodined", ["-f", "-c", "-P", SECRET, "-l", INTERNET, FAR_END, DOMAIN]);
      await server.line(/Listening to dns for domain/);
    },
    start: (guest) => guest.start("iodine", ["-f", "-r", "-P", SECRET, DNS_SERVER, DOMAIN]),
    through: (guest) => guest.ping(FAR_END, 1),
    denied: /NXDOMAIN/,
  },
  dns2tcp: {
    tools: ["dns2tcpc", "dns2tcpd"],
    async serve(lab) {
      const folder = join(lab.directory, "dns2tcp");
      mkdirSync(folder);
      const config = join(folder, "server");
      writeFileSync(
        config,
        `listen = ${INTERNET}\nport = 53\nuser = root\nchroot = ${folder}\npid_file = ${join(folder, "pid")}\n` +
          `domain = ${DOMAIN}\nkey = ${SECRET}\nresources = web:${INTERNET}:80\n`,
      );
      const server = lab.start(lab.internet, "dns2tcpd", ["-F", "-d", "1", "-f", config]);
      await server.line(/Listening on/);
    },
    start(guest) {
      guest.namespace.ip("link", "set", "lo", "up");
      const where = ["-z", DOMAIN, "-k", SECRET, "-r", "web", "-l", String(LOCAL_PORT), "-f", "/dev/null"];
      return guest.start("dns2tcpc", ["-d", "1", ...where, DNS_SERVER]);
    },
    async through(guest) {
      const { stdout } = await guest.namespace.run("curl", [...CURL, `http://127.0.0.1:${LOCAL_PORT}/`]);
      return /^host=127\.0\.0\.1/.test(stdout);
    },
    denied: /No such domain|Name Error|NXDOMAIN/i,
  },
} as const satisfies Readonly<Record<string, Tunnel>>;

/** Waits until something goes through the tunnel. */
async function comesUp(tunnel: Tunnel, guest: Guest, program: Program, who: string): Promise<void> {
  await until(`${who}: the tunnel is up`, async () => {
    assert.equal(program.exit, undefined, `${who}: ${program.text()}`);
    return await tunnel.through(guest);
  });
}

suite("rules by name with tunnels in DNS", () => {
  for (const [name, tunnel] of Object.entries<Tunnel>(TUNNELS)) {
    test(`N1 ${name}: traffic in DNS gets through where lookups are open, and not behind a list`, {
      ...NEEDS,
      ...needs(...tunnel.tools),
    }, async (t) => {
      const resolver = (lab: Lab): Promise<unknown> =>
        startDnsmasq(lab, lab.neighbour, DNS_SERVER, [
          `--server=/${DOMAIN}/${INTERNET}`,
          `--host-record=good.example.com,${INTERNET}`,
        ]);
      const scene = await openNameScene(t, "good.example.com", resolver);
      const { lab, client } = scene;
      await tunnel.serve(lab);
      for (const [who, guest] of [
        ["without softnet", await lab.guest({ bare: true })],
        ["behind a policy without names", await lab.guest()],
      ] as const) {
        await lease(guest);
        const program = tunnel.start(guest);
        await comesUp(tunnel, guest, program, who);
        await program.stop();
      }

      const program = tunnel.start(scene.guest);
      // Some ask only when there is something to carry.
      await until("the tunnel is denied", async () => {
        assert.equal(await tunnel.through(scene.guest), false, program.text());
        return tunnel.denied.test(program.text());
      });
      program.kill();
      assert.ok((await dropsOf(client!))["dns.denied"]! > 0);
      const { records } = scene.guest.softnet!;
      assert.ok(
        records.some(({ message, name: asked }) => message === "lookup denied" && String(asked).endsWith(`.${DOMAIN}`)),
        "the denials are not logged with their names",
      );
      // The list itself goes on working.
      const { stdout, stderr } = await scene.run("curl", ...CURL, "http://good.example.com/");
      assert.match(stdout, /host=good/, stderr);
    });
  }

  test("N1 a wildcard over a tunnel's own domain leaves it 500 questions, then one a second", {
    ...NEEDS,
    ...needs(...TUNNELS.iodine.tools),
  }, async (t) => {
    let asked = (): number => 0;
    const scene = await openNameScene(t, `*.${DOMAIN}`, async (lab) => {
      const records = [`--server=/${DOMAIN}/${INTERNET}`, "--log-queries"];
      const server = await startDnsmasq(lab, lab.neighbour, DNS_SERVER, records);
      asked = () => server.count(/ query\[/);
    });
    const { lab, guest, client } = scene;
    await TUNNELS.iodine.serve(lab);
    const begin = performance.now();
    const program = TUNNELS.iodine.start(guest);
    await comesUp(TUNNELS.iodine, guest, program, "behind a wildcard");
    const spent = async (): Promise<boolean> => ((await dropsOf(client!))["dns.budget"] ?? 0) > 20;
    let carried = 0;
    while (!(await spent())) {
      const { stdout } = await guest.namespace.run("ping", [
        "-n",
        "-q",
        "-c",
        "100",
        "-i",
        "0.02",
        "-W",
        "1",
        "-s",
        "500",
        FAR_END,
      ]);
      carried += Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
    }
    const seconds = (performance.now() - begin) / 1000;
    t.diagnostic(`${carried} echoes of 500 bytes, ${asked()} questions in ${seconds.toFixed(1)} s`);
    assert.ok(asked() <= 500 + seconds + 1, `${asked()} questions in ${seconds} s`);
  });
});
