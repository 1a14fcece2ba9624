/** Heads of HTTP that are made by chance, against expressions over the whole text. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HttpHead } from "../../src/wire/http-head.ts";
import { feedHead, readHead, saidOf } from "./http-support.ts";

const NUM_RUNS = process.env.SOFTNET_TEST_ALL === "1" ? 5000 : 500;

/** Written without the reader's states: the whole head by expressions. Undefined where it says nothing. */
function oracle(text: string): string | undefined {
  const end = text.indexOf("\r\n\r\n");
  const [first = "", ...fields] = text.slice(0, end).split("\r\n");
  if (end < 0 || !/^[\w!#$%&'*+.^`|~-]+ [/*][^\0-\x20\x7f]* HTTP\/1\.\d$/.test(first) || /^CONNECT /.test(first))
    return;
  if (!fields.every((field) => /^[\w!#$%&'*+.^`|~-]+:(\P{Cc}|[\t\x80-\x9f])*$/u.test(field))) return;
  const hosts = fields.filter((field) => /^host:/i.test(field));
  const value = /^host:[ \t]*([a-z0-9_.-]*?)\.?(?::0*(\d*))?[ \t]*$/i.exec(hosts[0] ?? "");
  if (hosts.length !== 1 || value === null || Number(value[2]) > 65_535) return;
  const name = value[1]!.toLowerCase();
  if (!/^(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*$/.test(name)) return;
  return /(^|\.)\d+$/.test(name) ? undefined : `${name}${value[2] ? `:${value[2]}` : ""}`;
}

const piece = fc.constantFrom(
  ..."GET |POST |CONNECT |/|/a| HTTP/1.1\r\n| HTTP/1.0\r\n|Host: a.example\r\n|Host:b.example:80\r\n|host: |X: |X:y|a.example".split(
    "|",
  ),
  ..."\r\n|\r\n\r\n|\r|\n|:| |\t|\0|\xff|.|-|_|1|Z|[::1]|*|http://".split("|"),
);
const line = fc.constantFrom(
  ..."Host: a.example|host:b.example.:80 |HOST: |Host: 1.2.3.4|X: y|X:|Host : a| X"
    .split("|")
    .map((one) => `${one}\r\n`),
);
const good = fc.constantFrom("GET / HTTP/1.1\r\n", "POST /a?b HTTP/1.0\r\nAccept: */*\r\n", "");
const chunks = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });

test("any text: never throws, the same in any chunks, and a name exactly where expressions find it", () => {
  const pieces = fc.oneof(fc.array(piece, { maxLength: 8 }), fc.array(line, { minLength: 1, maxLength: 3 }));
  const texts = fc.tuple(good, pieces, fc.constantFrom("", "\r\n", "\r\n\r\n"));
  const reader = new HttpHead();
  let names = 0;
  fc.assert(
    fc.property(texts, chunks, ([before, middle, behind], sizes) => {
      const text = before + middle.join("") + behind;
      const found = readHead(text);
      reader.start();
      feedHead(reader, text, sizes);
      assert.equal(saidOf(reader), found, JSON.stringify(text));
      assert.equal(typeof found === "string" ? found : undefined, oracle(text), JSON.stringify(text));
      if (typeof found === "string") names++;
    }),
    { numRuns: 10 * NUM_RUNS },
  );
  assert.ok(names > NUM_RUNS / 10, `${names} names`);
});

test("any bytes in a right head: never throws, and a name exactly where expressions find it", () => {
  const head = "GET /where HTTP/1.1\r\nAccept: text/html\r\nHost: www.example.org:8080\r\nX-Y: z\r\n\r\n";
  const changes = fc.array(
    fc.tuple(fc.nat(head.length), fc.nat(2), fc.string({ unit: "binary-ascii", maxLength: 2 })),
    {
      minLength: 1,
      maxLength: 2,
    },
  );
  fc.assert(
    fc.property(changes, chunks, (mutations, sizes) => {
      const text = mutations.reduce((all, [at, gone, more]) => all.slice(0, at) + more + all.slice(at + gone), head);
      const found = readHead(text, sizes);
      assert.equal(typeof found === "string" ? found : undefined, oracle(text), JSON.stringify(text));
    }),
    { numRuns: 10 * NUM_RUNS },
  );
});
