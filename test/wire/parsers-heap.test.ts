/** Reading names allocates nothing: DNS questions, answers and responses, hellos of TLS, heads of HTTP. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RCODE_NAME_ERROR } from "../../src/wire/dns-header.ts";
import { DnsQuestion, LONGEST_DNS_ANSWER, putDnsAnswer } from "../../src/wire/dns-message.ts";
import { DnsResponse } from "../../src/wire/dns-response.ts";
import { HEAD_NAMED, HttpHead } from "../../src/wire/http-head.ts";
import { HELLO_NAMED, TlsHello } from "../../src/wire/tls-hello.ts";
import { grownBy } from "../support/heap.ts";
import { bytes, ECH, GREASE, hello, records, serverName } from "./tls-support.ts";

/** Bytes that so many rounds leave. */
function leftBy(rounds: number, round: () => number): number {
  let sum = 0;
  const grown = grownBy(rounds, (times) => {
    for (let index = 0; index < times; index++) sum += round();
  });
  assert.ok(sum > 0);
  return grown;
}

// Less than half a number of the heap's a round.
const ROUNDS = 100_000;
const MOST = 500_000;

test("a DNS question and softnet's answer to it", () => {
  const message = bytes(
    "4242 0100 0001 0000 0000 0001 03777777 074578616d706c65 03434f4d 00 0001 0001 00 0029 04d0 00 00 8000 0000",
  );
  const question = new DnsQuestion();
  const out = new Uint8Array(LONGEST_DNS_ANSWER);
  const grown = leftBy(ROUNDS, () => {
    const fault = question.read(message, 0, message.length);
    return fault + putDnsAnswer(out, 0, question, message, 0, RCODE_NAME_ERROR, true);
  });
  assert.ok(grown < MOST, `${grown} bytes`);
});

for (const [type, address] of [
  ["0001", "0004 c0000201"],
  ["001c", "0010 20010db8ffffffffffffffffffffffff"],
] as const) {
  test(`a DNS response of type ${type}, with an alias and TTLs and addresses of 32 bits`, () => {
    const message = bytes(`1234 8180 0001 0003 0000 0000 0377777707 6578616d706c65 03 636f6d 00 ${type} 0001
      c00c 0005 0001 7fffffff 0007 0465646765 c010 c02d ${type} 0001 7ffffffe ${address} c02d ${type} 0001 0000001e ${address}`);
    const response = new DnsResponse();
    const grown = leftBy(ROUNDS, () => {
      const fault = response.read(message, 0, message.length);
      return fault === 0 ? response.addressCount : -ROUNDS;
    });
    assert.equal(response.addressCount, 2);
    assert.ok(grown < MOST, `${grown} bytes`);
  });
}

test("a hello in pieces", () => {
  const stream = records(hello({ extensions: Buffer.concat([GREASE, ECH, serverName("www.example.com")]) }), 200);
  const reader = new TlsHello();
  const grown = leftBy(ROUNDS / 10, () => {
    reader.start();
    reader.feed(stream, 0, 100);
    return reader.feed(stream, 100, stream.length - 100) === HELLO_NAMED ? 1 : -ROUNDS;
  });
  assert.ok(grown < MOST / 10, `${grown} bytes`);
});

test("a head of HTTP in pieces", () => {
  const stream = Buffer.from(`GET /where HTTP/1.1\r\nAccept: ${"x".repeat(300)}\r\nHost: www.example.com:8080\r\n\r\n`);
  const reader = new HttpHead();
  const grown = leftBy(ROUNDS / 10, () => {
    reader.start();
    reader.feed(stream, 0, 100);
    return reader.feed(stream, 100, stream.length - 100) === HEAD_NAMED ? 1 : -ROUNDS;
  });
  assert.ok(grown < MOST / 10, `${grown} bytes`);
});
