/** Domain names: text to wire labels and back (RFC 1035 3.1, RFC 1123 2.1, RFC 5890), and what a user is told. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { domainNameRemedy, formatDomainName, parseDomainName } from "../../src/wire/domain-name.ts";
import { HostName } from "../../src/wire/host-name.ts";

const NUM_RUNS = process.env.SOFTNET_TEST_ALL === "1" ? 5000 : 500;

const hex = (text: string, fewest?: number): string | undefined => {
  const labels = parseDomainName(text, fewest);
  return labels && Buffer.from(labels).toString("hex");
};

test("a name is its labels behind their lengths, and a zero (RFC 1035 3.1)", () => {
  assert.equal(hex("f.isi.arpa"), "016603697369046172706100");
  assert.equal(hex("www.example.com"), "03777777076578616d706c6503636f6d00");
  assert.equal(hex("_dmarc.my_host.example"), "065f646d617263076d795f686f7374076578616d706c6500");
});

test("case, a dot at the end and Unicode make no difference (RFC 4343, RFC 5890)", () => {
  assert.equal(hex("WWW.Example.COM."), hex("www.example.com"));
  for (const [text, ascii] of [
    ["bücher.example", "xn--bcher-kva.example"],
    ["BÜCHER.example.", "xn--bcher-kva.example"],
    ["faß.de", "xn--fa-hia.de"],
    ["例え。テスト", "xn--r8jz45g.xn--zckzah"],
    ["ｅｘａｍｐｌｅ.com", "example.com"],
    ["my_bücher.example", "xn--my_bcher-95a.example"],
  ] as const) {
    assert.equal(formatDomainName(parseDomainName(text)!), ascii, text);
    assert.equal(domainNameRemedy(text), undefined);
  }
});

test("a label has 63 characters at most, and a name 253", () => {
  const label = "a".repeat(63);
  const name = `${label}.${label}.${label}.`;
  assert.ok(parseDomainName(`${label}.com`));
  assert.equal(parseDomainName(`a${label}.com`), undefined);
  assert.equal(parseDomainName(`${name}${"a".repeat(61)}`)!.length, 255);
  assert.equal(parseDomainName(`${name}${"a".repeat(61)}.`)!.length, 255);
  assert.equal(parseDomainName(`${name}${"a".repeat(62)}`), undefined);
  const many = Array.from({ length: 127 }, () => "a").join(".");
  assert.equal(parseDomainName(many)!.length, 255);
  assert.equal(parseDomainName(`${many}.a`), undefined);
});

test("what is no name gets one line with the value and the remedy", () => {
  const label = "a".repeat(64);
  const long = `${"abcdefghi.".repeat(26)}com`;
  for (const [text, line] of [
    ["", '"" is no domain name: give one such as registry.npmjs.org'],
    [".", '"." is no domain name: give one such as registry.npmjs.org'],
    ["localhost", '"localhost" has one label: give a name of at least 2, such as localhost.example.com'],
    ["com.", '"com." has one label: give a name of at least 2, such as com.example.com'],
    ["a b.com", '"a b.com" has " ": a domain name has letters, digits, hyphens, underscores and dots'],
    ["a\n.com", '"a\\n.com" has "\\n": a domain name has letters, digits, hyphens, underscores and dots'],
    ["a\0.com", '"a\\u0000.com" has "\\u0000": a domain name has letters, digits, hyphens, underscores and dots'],
    ["*.com", '"*.com" has "*": a domain name has letters, digits, hyphens, underscores and dots'],
    ["ü/x.com", '"ü/x.com" has "/": a domain name has letters, digits, hyphens, underscores and dots'],
    ["a..com", '"a..com" has an empty label: write one dot between two labels, and none before them'],
    [".com", '".com" has an empty label: write one dot between two labels, and none before them'],
    ["a.com..", '"a.com.." has an empty label: write one dot between two labels, and none before them'],
    ["-a.com", '"-a.com" has a label that begins or ends with a hyphen: remove that hyphen'],
    ["a-.com", '"a-.com" has a label that begins or ends with a hyphen: remove that hyphen'],
    [`${label}.com`, `"${label}.com" has a label of 64 characters, "${label}": 63 is the most`],
    [long, `"${long.slice(0, 80)}…" has 263 characters: 253 is the most`],
    ["\u2100.com", '"\u2100.com" has no form in ASCII (A-labels): check its spelling'],
    ["a\u200d.com", '"a\u200d.com" has no form in ASCII (A-labels): check its spelling'],
    [
      "10.0.0.1",
      '"10.0.0.1" ends in a number, so it is no domain name: give an IPv4 address as a CIDR, such as 192.0.2.1/32',
    ],
    [
      "１.２.３.４",
      '"１.２.３.４" ends in a number, so it is no domain name: give an IPv4 address as a CIDR, such as 192.0.2.1/32',
    ],
  ] as const) {
    assert.equal(parseDomainName(text), undefined, text);
    assert.equal(domainNameRemedy(text), line);
  }
});

test("one label is enough where that is said", () => {
  assert.equal(hex("com", 1), "03636f6d00");
  assert.equal(parseDomainName("a.com", 3), undefined);
  assert.match(domainNameRemedy("a.com", 3)!, /^"a.com" has 2 labels: give a name of at least 3/);
  assert.equal(parseDomainName("1", 1), undefined);
});

test("names with other bytes have texts of their own (RFC 1035 5.1)", () => {
  assert.equal(formatDomainName(Buffer.from("\x03a.b\x03com\0", "latin1")), "a\\046b.com");
  assert.equal(formatDomainName(Buffer.from("\x01a\x01b\x03com\0", "latin1")), "a.b.com");
  assert.equal(formatDomainName(Buffer.from("\x04a\0\\\xff\x03com\0", "latin1")), "a\\000\\092\\255.com");
  assert.equal(formatDomainName(Buffer.from("\0", "latin1")), ".");
  assert.equal(formatDomainName(Buffer.from("??\x01a\0", "latin1"), 2), "a");
});

test("a name read back from its labels is the same; for every text there is either a name or a remedy", () => {
  const character = fc.constantFrom(..."aZ09-_..é ß\0/".split(""));
  const texts = fc.oneof(fc.string({ unit: character, maxLength: 12 }), fc.domain(), fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 3 }), (text, fewest) => {
      const labels = parseDomainName(text, fewest);
      const remedy = domainNameRemedy(text, fewest);
      assert.equal(remedy === undefined, labels !== undefined);
      if (labels === undefined) return assert.doesNotMatch(remedy!, /[\n\r]/);
      const written = formatDomainName(labels);
      assert.deepEqual(parseDomainName(written, fewest), labels);
      assert.match(written, /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/);
    }),
    { numRuns: NUM_RUNS },
  );
});

test("a reader of host names takes what the expression takes", () => {
  const expression = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;
  const name = new HostName();
  const text = fc.string({ unit: fc.constantFrom(..."aaaaaaaZ0-_.\0@".split("")), maxLength: 260 });
  fc.assert(
    fc.property(fc.oneof(text, fc.domain()), (value) => {
      name.start();
      const taken = [...Buffer.from(value, "latin1")].every((byte) => name.push(byte)) && name.end(false);
      assert.equal(taken, expression.test(value));
      if (taken) assert.equal(formatDomainName(name.labels), value.toLowerCase());
    }),
    { numRuns: NUM_RUNS },
  );
});
