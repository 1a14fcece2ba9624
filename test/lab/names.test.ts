/**
 * Rules by name among real programs: dnsmasq resolves, one web server has several names on one address, curl and OpenSSL are the
 * guest's clients. What gets round a list without softnet does not with it.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import type { ControlClient } from "../../src/control/client.ts";
import { LIMIT } from "../support/patience.ts";
import { lease } from "./harness/clients.ts";
import { ControlPath } from "./harness/control.ts";
import type { Guest } from "./harness/guest.ts";
import { DhcpServer } from "./harness/servers.ts";
import { DNS_SERVER, INTERNET, INTERNET_2, Lab, labNeeds, NEIGHBOUR, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
/** Seconds after which a program that hears nothing gives up; what is refused ends at once. */
const GIVES_UP = 20;
/** curl's exit codes. */
const NO_SUCH_NAME = 6;
const NOT_CONNECTED = 7;
const RESET = [35, 56];

interface Scene {
  readonly lab: Lab;
  readonly guest: Guest;
  readonly client: ControlClient | undefined;
  /** Runs a program of the guest's, which resolves by the lab's server. */
  run(command: string, ...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }>;
}

async function open(t: TestContext, only?: string): Promise<Scene> {
  const lab = Lab.open(t);
  await DhcpServer.start(lab, "dhcpd");
  const key = join(lab.directory, "key.pem");
  const certificate = join(lab.directory, "certificate.pem");
  const subject = ["-subj", "/CN=softnet lab", "-days", "2", "-keyout", key, "-out", certificate];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject], { stdio: "ignore" });
  for (const address of [INTERNET, NEIGHBOUR]) {
    const namespace = address === INTERNET ? lab.internet : lab.neighbour;
    await lab.start(namespace, process.execPath, [tool("named-web.ts"), address, key, certificate]).line(/^ready$/);
  }
  const records = [
    ...["good.example.com", "evil.example.com", "target.cdn.example.net"].map(
      (name) => `--host-record=${name},${INTERNET}`,
    ),
    `--host-record=rebind.example.com,${NEIGHBOUR}`,
    `--host-record=elsewhere.example.com,${INTERNET_2}`,
    "--cname=alias.example.com,target.cdn.example.net",
  ];
  const dnsmasq = [
    "--keep-in-foreground",
    "--no-resolv",
    "--no-hosts",
    "--no-daemon",
    "--bind-interfaces",
    "--local-ttl=0",
  ];
  const server = [...dnsmasq, `--listen-address=${DNS_SERVER}`, "--conf-file=/dev/null", "--pid-file=", ...records];
  await lab.start(lab.neighbour, "dnsmasq", server).line(/started/);
  const other = [...dnsmasq, `--listen-address=${INTERNET_2}`, "--conf-file=/dev/null", "--pid-file=", ...records];
  await lab.start(lab.internet, "dnsmasq", other).line(/started/);

  const control = new ControlPath(lab);
  const args = only === undefined ? [] : [...control.options, "--only", only];
  const guest = await lab.guest({ bare: only === undefined, args });
  await lease(guest);
  const client = only === undefined ? undefined : await control.client();
  t.after(() => client?.close());
  const resolvConf = join(lab.directory, "resolv.conf");
  writeFileSync(resolvConf, `nameserver ${DNS_SERVER}\n`);
  const within = [
    "-m",
    "--propagation",
    "private",
    "sh",
    "-c",
    'mount --bind "$0" /etc/resolv.conf; exec "$@"',
    resolvConf,
  ];
  const run = (command: string, ...words: readonly string[]) =>
    guest.namespace.run("unshare", [...within, command, ...words]);
  return { lab, guest, client, run };
}

const CURL = ["-sSk", "--max-time", String(GIVES_UP), "-4"];
const GOOD = "good.example.com";

/** Each: what it is, the program with its arguments, what it prints where it gets through, and how it fails behind softnet. */
const BYPASSES: readonly (readonly [string, readonly string[], RegExp, string])[] = [
  ["another name by the resolver", ["curl", ...CURL, "https://evil.example.com/"], /hello=evil/, "dns.denied"],
  ["the address itself", ["curl", ...CURL, `https://${INTERNET}/`], /host=9\.9\.9\.9/, "name.unpinned"],
  [
    "a foreign name in the hello to an allowed address",
    ["curl", ...CURL, "--connect-to", `evil.example.com:443:${GOOD}:443`, "https://evil.example.com/"],
    /hello=evil/,
    "name.denied",
  ],
  [
    "a foreign Host to an allowed address",
    ["curl", ...CURL, "-H", "Host: evil.example.com", `http://${GOOD}/`],
    /host=evil/,
    "name.denied",
  ],
  [
    "a request in absolute form",
    ["curl", ...CURL, "-x", `http://${GOOD}:80`, "http://evil.example.com/"],
    /host=evil/,
    "name.missing",
  ],
  [
    "no server name",
    ["sh", "-c", `echo Q | timeout ${GIVES_UP} openssl s_client -noservername -connect ${GOOD}:443 2>&1`],
    /BEGIN CERTIFICATE/,
    "name.missing",
  ],
  ["another resolver by UDP", ["python3", tool("ask-name.py"), "udp", INTERNET_2], /9\.9\.9\.9/, "name.resolver"],
  ["another resolver by TCP", ["python3", tool("ask-name.py"), "tcp", INTERNET_2], /9\.9\.9\.9/, "name.resolver"],
  [
    "an allowed name at a private address",
    ["curl", ...CURL, "http://rebind.example.com/"],
    /host=rebind/,
    "name.rebind",
  ],
];

const LIST = `${GOOD},alias.example.com,rebind.example.com`;

/** Counters of drops. */
async function dropsOf(client: ControlClient): Promise<Record<string, number>> {
  const status = (await client.ask("softnet.status")) as unknown as {
    counters: { egress: { drops: Record<string, number> } };
  };
  return status.counters.egress.drops;
}

suite("rules by name", SIDE_BY_SIDE, () => {
  test("N1 allowed names work by TLS and HTTP, aliases too; everything else fails at once", NEEDS, async (t) => {
    const { run, client } = await open(t, LIST);
    for (const url of [`https://${GOOD}/`, `http://${GOOD}/`, "https://alias.example.com/"]) {
      const { stdout, stderr } = await run("curl", ...CURL, url);
      assert.match(stdout, new RegExp(`host=${new URL(url).hostname}`), stderr);
    }
    // A hello by Node, with a key share that needs two segments.
    const script = `require("https").get({host:"${GOOD}",rejectUnauthorized:false,family:4},r=>r.pipe(process.stdout)).on("error",e=>console.log(e.code))`;
    assert.match((await run(process.execPath, "-e", script)).stdout, /hello=good/);
    const denied = await run("curl", ...CURL, "https://evil.example.com/");
    assert.equal(denied.code, NO_SUCH_NAME, denied.stderr);
    const raw = await run("curl", ...CURL, `https://${INTERNET}:8443/`);
    assert.equal(raw.code, NOT_CONNECTED, raw.stderr);
    const names = (await client!.ask("softnet.names")) as unknown as {
      names: { name: string; passed: number; denied: number }[];
    };
    const good = names.names.find(({ name }) => name === GOOD)!;
    assert.ok(good.passed >= 3, JSON.stringify(good));
    assert.ok(names.names.find(({ name }) => name === "evil.example.com")!.denied > 0);
  });

  test(
    "N3 N4 N5 ways round a list: each gets through without softnet, and fails behind it, with its reason",
    NEEDS,
    async (t) => {
      const bare = await open(t);
      const behind = await open(t, LIST);
      for (const [what, [command, ...args], through, reason] of BYPASSES) {
        const without = await bare.run(command!, ...args);
        assert.match(without.stdout, through, `${what}, without softnet: ${without.stderr}`);
        const before = await dropsOf(behind.client!);
        const begin = performance.now();
        const withIt = await behind.run(command!, ...args);
        const seconds = (performance.now() - begin) / 1000;
        assert.doesNotMatch(withIt.stdout, through, what);
        assert.notEqual(withIt.code, 28, `${what}: it waited instead of being refused, ${seconds} s`);
        const after = await dropsOf(behind.client!);
        assert.ok((after[reason] ?? 0) > (before[reason] ?? 0), `${what}: ${reason} in ${JSON.stringify(after)}`);
      }
    },
  );

  test(
    "I12 a list that loses a name ends its connections; a name that it gains works for the next lookup",
    NEEDS,
    async (t) => {
      const { run, client, guest } = await open(t, LIST);
      const script = `const s=require("net").connect(80,"${INTERNET}");s.on("connect",()=>s.write("GET / HTTP/1.1\\r\\nHost: ${GOOD}\\r\\n\\r\\n"));s.on("data",()=>console.log("answered"));s.on("error",e=>{console.log(e.code);process.exit()});setTimeout(()=>{},60000)`;
      assert.match((await run("curl", ...CURL, `http://${GOOD}/`)).stdout, /host=good/);
      const open80 = guest.start(process.execPath, ["-e", script]);
      await open80.line(/answered/);
      const only = ["evil.example.com"];
      await client!.ask("softnet.policy.set", { allow: [], block: [], only });
      await open80.line(/ECONNRESET/);
      assert.match((await run("curl", ...CURL, "https://evil.example.com/")).stdout, /hello=evil/);
      assert.equal((await run("curl", ...CURL, `https://${GOOD}/`)).code, NO_SUCH_NAME);
      const explained = await client!.ask("softnet.explain", {
        direction: "out",
        protocol: "tcp",
        remote: GOOD,
        port: 443,
      });
      assert.equal(explained.verdict, "drop");
      assert.equal(explained.reason, "dns.denied");
      const reset = await run(
        "curl",
        ...CURL,
        "--connect-to",
        `x.example.com:443:evil.example.com:443`,
        "https://x.example.com/",
      );
      assert.ok(RESET.includes(reset.code!), `${reset.code} ${reset.stderr}`);
    },
  );
});
