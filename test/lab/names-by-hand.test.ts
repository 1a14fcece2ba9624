/**
 * Ways round a list of names that no ordinary program takes: first bytes, segments and datagrams made by hand. Each row: what
 * it is, how softnet ends it, and the reason. Without softnet every one of them gets through.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { LIMIT } from "../support/patience.ts";
import { dropsOf, type NameScene, openNameScene } from "./harness/names.ts";
import { INTERNET_2, labNeeds, SIDE_BY_SIDE, tool } from "./harness/topology.ts";

const NEEDS = { ...labNeeds("udhcpc", "dhcpd", "dnsmasq", "curl", "openssl"), ...LIMIT };
const NAME = "raw.example.com";
/** As long as the other one, so that a segment with it fits in the same place. */
const FORBIDDEN = "bad.example.com";

/** `reset`, `refused`: at once; `silent`: only what no TCP stack sends. */
type Row = readonly [what: string, end: "reset" | "refused" | "silent", reason: string];

const HELLOS: readonly Row[] = [
  ["a forbidden hello", "reset", "name.denied"],
  ["byte by byte", "reset", "name.denied"],
  ["a record for each byte", "reset", "name.denied"],
  ["server_name twice", "reset", "name.format"],
  ["two names in server_name", "reset", "name.format"],
  ["NUL in the name", "reset", "name.format"],
  ["a dot at the end of the name", "reset", "name.format"],
  ["no server_name", "reset", "name.missing"],
  ["something else", "reset", "name.format"],
  ["an alert first", "reset", "name.format"],
];

const REQUESTS: readonly Row[] = [
  ["CONNECT", "reset", "name.missing"],
  ["absolute form", "reset", "name.missing"],
  ["Host twice", "reset", "name.format"],
  ["a folded Host", "reset", "name.format"],
  ["a field folded over Host", "reset", "name.format"],
  ["a space before the colon", "reset", "name.format"],
  ["LF alone", "reset", "name.format"],
  ["a NUL in Host", "reset", "name.format"],
  ["the user part of Host", "reset", "name.format"],
  ["HTTP/1.0 without Host", "reset", "name.missing"],
  ["HTTP/2 without TLS", "reset", "name.missing"],
];

const OTHER_WAYS: readonly Row[] = [
  ["QUIC", "refused", "name.quic"],
  ["DNS over QUIC", "refused", "name.resolver"],
  ["multicast DNS by unicast", "refused", "name.resolver"],
  ["DNS over TLS", "refused", "name.resolver"],
];

const SEGMENTS: readonly Row[] = [
  ["data in the SYN", "reset", "name.segment"],
  ["urgent data", "silent", "name.segment"],
  ["another name when sent again", "reset", "name.changed"],
  ["the second half first", "silent", "name.order"],
  ["a wrong checksum", "silent", "name.segment"],
  ["an allowed hello with a wrong checksum", "reset", "name.denied"],
  ["fragments", "silent", "name.segment"],
];

const ALLOWED = ["an allowed hello", "an allowed request"];

async function talk({ run }: NameScene, what: string): Promise<string> {
  const { stdout, stderr } = await run("/usr/bin/python3", tool("name-talk.py"), what, NAME, INTERNET_2, FORBIDDEN);
  return stdout.trim() === "" ? stderr : stdout.trim();
}

async function open(t: Parameters<typeof openNameScene>[0], only?: string): Promise<NameScene> {
  const scene = await openNameScene(t, only);
  const sink = scene.lab.start(scene.lab.internet, "/usr/bin/python3", [tool("name-sink.py"), INTERNET_2]);
  await sink.line(/^ready$/);
  // Data goes in the first SYN, without a cookie (RFC 7413).
  scene.lab.internet.sysctl({ "net/ipv4/tcp_fastopen": "515" });
  scene.guest.namespace.sysctl({ "net/ipv4/tcp_fastopen": "5" });
  return scene;
}

suite("names by hand", SIDE_BY_SIDE, () => {
  for (const [title, rows] of [
    ["N4 hellos", HELLOS],
    ["N4 requests", REQUESTS],
    ["N3 other ways to resolve", OTHER_WAYS],
    ["N4 segments", SEGMENTS],
  ] as const) {
    test(`${title}: what passes without softnet is refused behind it, with its reason`, NEEDS, async (t) => {
      const bare = await open(t);
      const behind = await open(t, NAME);
      for (const what of ALLOWED) assert.equal(await talk(behind, what), "through", what);
      for (const [what, end, reason] of rows) {
        assert.equal(await talk(bare, what), "through", `${what}, without softnet`);
        const before = await dropsOf(behind.client!);
        const said = await talk(behind, what);
        assert.equal(said, end, what);
        const after = await dropsOf(behind.client!);
        assert.ok((after[reason] ?? 0) > (before[reason] ?? 0), `${what}: ${reason} in ${JSON.stringify(after)}`);
      }
      for (const what of ALLOWED) assert.equal(await talk(behind, what), "through", `${what}, after all that`);
    });
  }
});
