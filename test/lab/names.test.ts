/**
 * Rules by name among real programs: dnsmasq resolves, one web server has several names on one address, curl and OpenSSL are the
 * guest's clients. What gets round a list without softnet does not with it.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { CURL, dropsOf, GIVES_UP, openNameScene } from "./harness/names.ts";
import { INTERNET, INTERNET_2, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
/** curl's exit codes. */
const NO_SUCH_NAME = 6;
const NOT_CONNECTED = 7;
const RESET = [35, 56];

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
  [
    "another name in a second hello",
    [process.execPath, tool("second-hello.ts"), GOOD, GOOD, "evil.example.com"],
    /the second hello is answered/,
    "name.denied",
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

suite("rules by name", SIDE_BY_SIDE, () => {
  test("N1 allowed names work by TLS and HTTP, aliases too; everything else fails at once", NEEDS, async (t) => {
    const { run, client } = await openNameScene(t, LIST);
    for (const url of [`https://${GOOD}/`, `http://${GOOD}/`, "https://alias.example.com/"]) {
      const { stdout, stderr } = await run("curl", ...CURL, url);
      assert.match(stdout, new RegExp(`host=${new URL(url).hostname}`), stderr);
    }
    // A hello by Node, with a key share that needs two segments.
    const script = `require("https").get({host:"${GOOD}",rejectUnauthorized:false,family:4},r=>r.pipe(process.stdout)).on("error",e=>console.log(e.code))`;
    assert.match((await run(process.execPath, "-e", script)).stdout, /hello=good/);
    const again = await run(process.execPath, tool("second-hello.ts"), GOOD, GOOD, GOOD);
    assert.match(again.stdout, /asked for\nthe second hello is answered/);
    // Multipath TCP: the kernel tries without it when its SYN is not answered.
    const multipath = `import socket;s=socket.socket(socket.AF_INET,socket.SOCK_STREAM,262);s.connect(("${GOOD}",80));s.sendall(b"GET / HTTP/1.1\\r\\nHost: ${GOOD}\\r\\n\\r\\n");print(s.recv(4000))`;
    const fallen = await run("python3", "-c", multipath);
    assert.match(fallen.stdout, /host=good/, fallen.stderr);
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
      const bare = await openNameScene(t);
      const behind = await openNameScene(t, LIST);
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
      const { run, client, guest } = await openNameScene(t, LIST);
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
