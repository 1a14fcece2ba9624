/** Responses: the addresses of the name that was asked for, by the answer section alone (RFC 1034 3.6.2, RFC 6672). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DNS_ADDRESS,
  DNS_ALIASES,
  DNS_CLASS,
  DNS_COUNTS,
  DNS_DIRECTION,
  DNS_NAME,
  DNS_OPCODE,
  DNS_SHORT,
  DNS_SOUND,
} from "../../src/wire/dns-header.ts";
import { DnsResponse, LONGEST_TTL, MOST_ADDRESSES, MOST_RECORDS } from "../../src/wire/dns-response.ts";
import { formatDomainName } from "../../src/wire/domain-name.ts";
import { A, AAAA, bytes, CNAME, DNAME, hex16, name, read, record, response } from "./dns-support.ts";

test("a response of a resolver, byte by byte, with compression (RFC 1035 4.1.4)", () => {
  // www.example.com is an alias of edge.example.com, which has two addresses; behind them an authority and an OPT.
  const message = bytes(`
    1234 8580 0001 0003 0001 0001
    03 777777 07 6578616d706c65 03 636f6d 00 0001 0001
    c00c 0005 0001 00000e10 0007 04 65646765 c010
    c02d 0001 0001 0000003c 0004 c0000201
    c02d 0001 0001 0000001e 0004 c6336407
    c010 0002 0001 00015180 0005 02 6e73 c010
    00 0029 04d0 00 00 0000 0000`);
  const { fault, response: read1, found } = read(message);
  assert.equal(fault, DNS_SOUND);
  assert.equal(read1.id, 0x1234);
  assert.equal(read1.isTruncated, false);
  assert.equal(read1.rcode, 0);
  assert.equal(read1.type, A);
  assert.equal(read1.questionLength, 21);
  assert.equal(formatDomainName(read1.name.labels), "edge.example.com");
  assert.equal(read1.aliasCount, 1);
  assert.equal(read1.aliasTtl, 3600);
  assert.deepEqual(found, ["192.0.2.1 60", "198.51.100.7 30"]);
});

test("AAAA, with addresses as words", () => {
  const data = "20010db8000000000000000000000001";
  const { found } = read(response("a.example", AAAA, [record("a.example", AAAA, data, 60)]));
  assert.deepEqual(found, [`${data} 60`]);
});

test("aliases count in any order of records, and the smallest TTL on the way", () => {
  const records = [
    record("d.example", A, "c0000201", 500),
    record("C.example", CNAME, "d.example", 100),
    record("a.example", CNAME, "b.EXAMPLE", 900),
    record("b.example", CNAME, "c.example", 300),
  ];
  const { response: chain, found } = read(response("A.example", A, records));
  assert.deepEqual(found, ["192.0.2.1 100"]);
  assert.equal(chain.aliasCount, 3);
  assert.equal(chain.aliasTtl, 100);
  assert.deepEqual(read(response("A.example", A, records.toReversed())).found, found);
});

test("records that the name does not lead to do not count", () => {
  const records = [
    record("other.example", A, "c0000209"),
    record("x.a.example", A, "c0000209"),
    record("example", A, "c0000209"),
    record("a.example", A, "c0000209", 300, 3), // class CHAOS
    record("a.example", AAAA, "20010db8000000000000000000000001"),
    record("a.example", 16, "0161"),
    record("a.example", A, "c0000201", 0),
    record("e.example", CNAME, "a.example"),
  ];
  assert.deepEqual(read(response("a.example", A, records)).found, ["192.0.2.1 0"]);
});

test("an alias is not the end: an address of the alias itself does not count", () => {
  const records = [record("a.example", A, "c0000209"), record("a.example", CNAME, "b.example")];
  const { fault, found } = read(response("a.example", A, records));
  assert.equal(fault, DNS_SOUND);
  assert.deepEqual(found, []);
});

test("other sections do not count", () => {
  const message = response("a.example", A, [], "8180", record("a.example", A, "c0000209"));
  message[9] = 1; // one authority
  assert.deepEqual(read(message).found, []);
});

test("a label with a dot or a zero byte in it is not two labels", () => {
  const owner = (inside: string): string => `0b ${Buffer.from(`example${inside}com`, "latin1").toString("hex")} 00`;
  for (const inside of [".", "\0"]) {
    const fields = "0001 0001 00000e10 0004 c0000209";
    assert.deepEqual(read(response("example.com", A, [bytes(`${owner(inside)} ${fields}`).toString("hex")])).found, []);
    const alias = bytes(`${name("example.com")} 0005 0001 00000e10 000d ${owner(inside)}`).toString("hex");
    assert.deepEqual(read(response("example.com", A, [alias, record("example.com", A, "c0000209")])).found, []);
  }
});

test("DNAME redirects what is below it, not itself (RFC 6672 2.3)", () => {
  const records = [record("host.example.net", A, "c0000201", 50), record("example.com", DNAME, "example.net", 40)];
  const { found, response: below } = read(response("Host.example.com", A, records));
  assert.deepEqual(found, ["192.0.2.1 40"]);
  assert.equal(formatDomainName(below.name.labels), "host.example.net");
  const itself = [record("example.net", A, "c0000209"), record("example.com", DNAME, "example.net")];
  assert.deepEqual(read(response("example.com", A, itself)).found, []);
  const beside = [record("host.xexample.net", A, "c0000209"), record("example.com", DNAME, "example.net")];
  assert.deepEqual(read(response("host.xexample.com", A, beside)).found, []);
});

test("the CNAME that a server adds to a DNAME is followed once", () => {
  const records = [
    record("example.com", DNAME, "example.net", 40),
    record("sub.example.com", DNAME, "example.org", 40),
    record("host.example.com", CNAME, "host.example.net", 0),
    record("host.example.net", A, "c0000201", 50),
  ];
  const { found, response: chain } = read(response("host.example.com", A, records));
  assert.deepEqual(found, ["192.0.2.1 0"]);
  assert.equal(chain.aliasCount, 1);
});

test("a DNAME replaces the end of the name that has its owner, with others behind it in the message", () => {
  const records = [
    record("example.com", DNAME, "example.net", 40),
    record("a.very.long.name.of.another.example.com", DNAME, "example.org", 40),
    record("unrelated.example", CNAME, "b.example", 40),
    record("host.example.net", A, "c0000201", 50),
  ];
  assert.deepEqual(read(response("host.example.com", A, records)).found, ["192.0.2.1 40"]);
});

test("a DNAME that makes the name too long", () => {
  const long = ["a", "b", "c", "d"].map((letter) => letter.repeat(60)).join(".");
  const { fault } = read(response(`host.${"e".repeat(60)}.x`, A, [record("x", DNAME, long)]));
  assert.equal(fault, DNS_ALIASES);
});

test("eight aliases are followed, nine and circles are not", () => {
  const chain = (count: number): string[] => [
    ...Array.from({ length: count }, (_, index) => record(`n${index}.example`, CNAME, `n${index + 1}.example`)),
    record(`n${count}.example`, A, "c0000201"),
  ];
  assert.deepEqual(read(response("n0.example", A, chain(8))).found, ["192.0.2.1 300"]);
  assert.equal(read(response("n0.example", A, chain(9))).fault, DNS_ALIASES);
  const circle = [record("a.example", CNAME, "b.example"), record("b.example", CNAME, "a.example")];
  assert.equal(read(response("a.example", A, circle)).fault, DNS_ALIASES);
});

test("the first 64 addresses and the first 128 records count", () => {
  const many = Array.from({ length: 100 }, (_, index) => record("a.example", A, `0a0000${hex16(index).slice(2)}`));
  const { found } = read(response("a.example", A, many));
  assert.equal(found.length, MOST_ADDRESSES);
  assert.equal(found[63], "10.0.0.63 300");
  const others = Array.from({ length: MOST_RECORDS - 1 }, () => record("x", 16, "0161"));
  const [first, second] = [record("a.example", A, "c0000201"), record("a.example", A, "c0000202")];
  assert.deepEqual(read(response("a.example", A, [...others, first, second])).found, ["192.0.2.1 300"]);
});

test("a TTL with the first bit set is 0 (RFC 2181 8)", () => {
  const ttls = [0x80000000, 0xffffffff, LONGEST_TTL];
  const records = ttls.map((ttl) => record("a.example", A, "c0000201", ttl));
  assert.deepEqual(read(response("a.example", A, records)).found, [
    "192.0.2.1 0",
    "192.0.2.1 0",
    "192.0.2.1 2147483647",
  ]);
});

test("flags: truncated, and the code", () => {
  const { response: flags } = read(response("a.example", A, [], "8383"));
  assert.equal(flags.isTruncated, true);
  assert.equal(flags.rcode, 3);
});

test("a response to a question of another type has no addresses", () => {
  const { fault, found } = read(response("a.example", 16, [record("a.example", A, "c0000201")]));
  assert.equal(fault, DNS_SOUND);
  assert.deepEqual(found, []);
});

test("what is malformed says what does not hold, and has no addresses", () => {
  const good = record("a.example", A, "c0000201");
  const header = (counts: string, flags = "8180"): string => `4242 ${flags} ${counts} 0000 0000`;
  const question = `${name("a.example")} 0001 0001`;
  for (const [message, fault] of [
    [bytes(""), DNS_SHORT],
    [bytes("4242 8180 0001 0000 0000 00"), DNS_SHORT],
    [bytes(`${header("0001 0000", "0100")} ${question}`), DNS_DIRECTION],
    [bytes(`${header("0001 0000", "a800")} ${question}`), DNS_OPCODE],
    [bytes(`${header("0000 0001")} ${good}`), DNS_COUNTS],
    [bytes(`${header("0002 0000")} ${question} ${question}`), DNS_COUNTS],
    [bytes(`${header("0001 0000")} 0161`), DNS_NAME],
    [bytes(`${header("0001 0000")} ${name("a.example")} 0001 00`), DNS_SHORT],
    [bytes(`${header("0001 0000")} ${name("a.example")} 0001 0003`), DNS_CLASS],
    [bytes(`${header("0001 0002")} ${question} ${good}`), DNS_NAME], // a record is missing
    [bytes(`${header("0001 0001")} ${question} ${good.slice(0, -2)}`), DNS_SHORT],
    [bytes(`${header("0001 0001")} ${question} ${name("a.example")} 0001 0001 0000`), DNS_SHORT],
    [response("a.example", A, [good, record("a.example", A, "c00002")]), DNS_ADDRESS],
    [response("a.example", AAAA, [record("a.example", AAAA, "c0000201")]), DNS_ADDRESS],
    [response("a.example", A, [good, `c0ff${"0001 0001 00000000 0004 c0000201".replaceAll(" ", "")}`]), DNS_NAME],
    // An alias whose target does not end where its record does.
    [response("a.example", A, [good, `${name("a.example")}000500010000012c0004${name("x")}00`]), DNS_NAME],
    [response("a.example", A, [good, `${name("a.example")}000500010000012c0002${name("x")}`]), DNS_NAME],
  ] as const) {
    const { fault: found, response: wrong } = read(message);
    assert.equal(found, fault, message.toString("hex"));
    assert.equal(wrong.addressCount, 0);
  }
});

test("names made to cost time end soon: pointers to pointers", () => {
  const pointers = Array.from({ length: 8000 }, (_, index) => hex16(0xc000 | (index === 0 ? 12 : 29 + 2 * index)));
  // A TXT record with a ladder of pointers, and 127 records whose owner is at its top.
  const ladder = `00 0010 0001 00000000 ${hex16(2 * pointers.length)} ${pointers.join("")}`.replaceAll(" ", "");
  const top = hex16(0xc000 | (29 + 2 * pointers.length));
  const owners = Array.from({ length: MOST_RECORDS - 1 }, () => `${top}00050001000000000001 00`.replaceAll(" ", ""));
  const { fault } = read(response("aaaa", A, [ladder, ...owners]));
  assert.equal(fault, DNS_NAME);
});

test("nothing of an earlier response is left", () => {
  const reader = new DnsResponse();
  const alias = [record("a.example", CNAME, "b.example", 5), record("b.example", A, "c0000201")];
  assert.deepEqual(read(response("a.example", A, alias), reader).found, ["192.0.2.1 5"]);
  const second = read(response("c.example", A, [record("c.example", A, "c0000202")]), reader);
  assert.deepEqual(second.found, ["192.0.2.2 300"]);
  assert.equal(second.response.aliasCount, 0);
  assert.equal(read(bytes("42"), reader).response.addressCount, 0);
  assert.equal(reader.name.length, 0);
});
