/** softnet's reading of DNS messages against dns-packet's, over generated messages, whole, changed and cut. */
import assert from "node:assert/strict";
import { test } from "node:test";
import dnsPacket, { type Answer, type Packet, type RecordType } from "dns-packet";
import fc from "fast-check";
import { formatIPv4 } from "../../src/wire/address.ts";
import { DNS_ALIASES, DNS_SOUND, RCODE_NAME_ERROR, RECORD_AAAA } from "../../src/wire/dns-header.ts";
import { DnsQuestion, LONGEST_DNS_ANSWER, putDnsAnswer } from "../../src/wire/dns-message.ts";
import { DnsResponse } from "../../src/wire/dns-response.ts";
import { formatDomainName } from "../../src/wire/domain-name.ts";
import { addressOfWords, formatIPv6, parseIPv6 } from "../../src/wire/ipv6-address.ts";
import { compressed } from "./dns-support.ts";

const NUM_RUNS = process.env.SOFTNET_TEST_ALL === "1" ? 20_000 : 2000;

/** Few names, so that aliases meet, in upper and lower case. */
const NAMES = ["a.x", "A.X", "b.x", "c.x", "b.a.x", "x", "y", "a.y", "b.y", "B.A.Y"];
const name = fc.constantFrom(...NAMES);
const ttl = fc.constantFrom(0, 30, 300, 86_400);
const address = fc.constantFrom("192.0.2.1", "192.0.2.2", "198.51.100.7");

const address6 = fc.constantFrom("2001:db8::1", "2001:db8::2", "fd00::7");

const record: fc.Arbitrary<Answer> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constant("A" as const), name, ttl, data: address }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("CNAME" as const), name, ttl, data: name }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("DNAME" as const),
      name: fc.constantFrom("x", "y", "a.x"),
      ttl,
      data: name,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("TXT" as const), name, ttl, data: fc.constant("text") }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("AAAA" as const), name, ttl, data: address6 }),
  },
);

interface Found {
  readonly question: string;
  readonly found: readonly string[];
}

/** The addresses by the obvious way over text; undefined for more than eight aliases. */
function oracle(message: Buffer): Found | undefined {
  const { questions = [], answers = [] } = dnsPacket.decode(message) as Packet;
  let at = questions[0]!.name.toLowerCase();
  let least = 0x7fffffff;
  for (let steps = 0; ; steps++) {
    const owner = (one: Answer): string => ("name" in one ? one.name.toLowerCase() : "");
    const cname = answers.find((one) => one.type === "CNAME" && owner(one) === at);
    const alias = cname ?? answers.find((one) => one.type === "DNAME" && at.endsWith(`.${owner(one)}`));
    if (alias === undefined || (alias.type !== "CNAME" && alias.type !== "DNAME")) {
      const found = answers.flatMap((one) => {
        if ((one.type !== "A" && one.type !== "AAAA") || one.type !== questions[0]!.type || owner(one) !== at)
          return [];
        return [`${addressIn(one)} ${Math.min(one.ttl!, least)}`];
      });
      return { question: questions[0]!.name.toLowerCase(), found };
    }
    if (steps === 8) return undefined;
    at = at.slice(0, at.length - owner(alias).length) + alias.data.toLowerCase();
    least = Math.min(least, alias.ttl!);
  }
}

/** The address of an A or AAAA record as softnet writes it; undefined for other records. */
function addressIn(one: Answer): string | undefined {
  if (one.type === "A") return one.data;
  return one.type === "AAAA" ? formatIPv6(parseIPv6(one.data)!) : undefined;
}

const addressOf = ([first, second, third, fourth]: Int32Array): bigint =>
  addressOfWords(first!, second!, third!, fourth!);

/** Reads the message twice, with other bytes around it in memory each time, which must make no difference. */
function read(message: Buffer): Found & { fault: number } {
  const results = [0, 0xc0].map((around) => {
    const memory = Buffer.concat([Buffer.alloc(20, around), message, Buffer.alloc(300, around)]);
    const response = new DnsResponse();
    const fault = response.read(memory, 20, message.length);
    const found = Array.from({ length: response.addressCount }, (_, index) => {
      const words = response.addresses6.subarray(4 * index, 4 * index + 4);
      const isIPv6 = response.type === RECORD_AAAA;
      const text = isIPv6 ? formatIPv6(addressOf(words)) : formatIPv4(response.addresses[index]!);
      return `${text} ${response.ttls[index]}`;
    });
    const question = new DnsQuestion();
    const asked = question.read(memory, 20, message.length);
    const text = question.name.length === 0 ? "" : formatDomainName(question.name.labels);
    return { fault, question: "", found, asked, text };
  });
  assert.deepEqual(results[0], results[1]);
  return results[0]!;
}

const messages = fc
  .record({
    question: name,
    asks: fc.constantFrom("A" as const, "AAAA" as const),
    answers: fc.array(record, { maxLength: 10 }),
    choices: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
  })
  .map(({ question, asks, answers, choices }) =>
    compressed({ type: "response", id: 7, questions: [{ type: asks, name: question }], answers }, choices),
  );

test("the addresses of a response are those that the obvious way finds in what dns-packet reads", () => {
  let addresses = 0;
  fc.assert(
    fc.property(messages, (message) => {
      const expected = oracle(message);
      const { fault, found } = read(message);
      assert.equal(fault, expected === undefined ? DNS_ALIASES : DNS_SOUND);
      assert.deepEqual(found, expected?.found ?? []);
      addresses += found.length;
    }),
    { numRuns: NUM_RUNS },
  );
  assert.ok(addresses > NUM_RUNS / 10, `${addresses} addresses`);
});

/** Types that messages here are made of, or that dns-packet does not know. Of others, such as SSHFP, it ignores the length. */
const RELIABLE = /^(A|AAAA|CNAME|DNAME|TXT|UNKNOWN_\d+)$/;

/** Undefined where dns-packet refuses the message for a record that is none of softnet's business, or loses its place. */
function decodedWhole(message: Buffer): Packet | undefined {
  try {
    const decoded = dnsPacket.decode(message);
    const isReliable = decoded.answers!.every(({ type }) => RELIABLE.test(type));
    return isReliable && dnsPacket.decode.bytes === message.length ? decoded : undefined;
  } catch {
    return undefined;
  }
}

test("changed and cut responses never throw, and have no address that dns-packet does not see", () => {
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 });
  let addresses = 0;
  fc.assert(
    fc.property(messages, changes, fc.nat(), (message, mutations, cut) => {
      const changed = Buffer.from(message);
      for (const [at, value] of mutations) changed[12 + (at % (changed.length - 12))] = value;
      const seen = cut % 5 === 0 ? changed.subarray(0, cut % changed.length) : changed;
      const { found } = read(seen);
      const decoded = found.length === 0 ? undefined : decodedWhole(seen);
      if (decoded === undefined) return;
      // A change may have made the one type that is asked for the other.
      const asked = decoded.questions![0]!.type;
      const all = decoded.answers!.filter(({ type }) => type === asked).map(addressIn);
      for (const one of found) assert.ok(all.includes(one.split(" ")[0]!), one);
      addresses += found.length;
    }),
    { numRuns: 2 * NUM_RUNS },
  );
  assert.ok(addresses > NUM_RUNS / 20, `${addresses} addresses`);
});

test("any bytes behind a header never throw, and are read the same whatever is around them", () => {
  const header = fc.constantFrom("0007818000010001", "0007818000010040", "0007010000010000", "00078180000100ff");
  // Lengths of labels, pointers and types are likely bytes.
  const byte = fc.oneof(fc.constantFrom(0, 0, 1, 1, 2, 4, 5, 12, 13, 39, 63, 64, 0xc0, 0xc0, 0xc0, 0xff), fc.nat(255));
  fc.assert(
    fc.property(header, fc.nat(1), fc.array(byte, { maxLength: 120 }), (start, additionals, rest) => {
      read(Buffer.concat([Buffer.from(`${start}0000000${additionals}`, "hex"), Buffer.from(rest)]));
    }),
    { numRuns: 5 * NUM_RUNS },
  );
});

const questions = fc.record({
  // dns-packet joins labels with dots, so that a label must not have one.
  name: fc.array(fc.string({ unit: fc.constantFrom(..."abcXYZ019-_*+ "), minLength: 1, maxLength: 20 }), {
    maxLength: 8,
  }),
  type: fc.constantFrom<RecordType>("A", "AAAA", "TXT", "NULL", "PTR"),
  edns: fc.boolean(),
  dnssec: fc.boolean(),
  tcp: fc.boolean(),
});

test("a question is read as dns-packet wrote it, and dns-packet reads softnet's answer to it", () => {
  const out = Buffer.alloc(LONGEST_DNS_ANSWER);
  const question = new DnsQuestion();
  fc.assert(
    fc.property(questions, ({ name: labels, type, edns, dnssec, tcp }) => {
      const text = labels.join(".");
      const opt: Answer = {
        type: "OPT",
        name: ".",
        udpPayloadSize: 4096,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: dnssec ? 0x8000 : 0,
        flag_do: dnssec,
        options: [],
      };
      const message = dnsPacket.encode({
        type: "query",
        id: 0x1234,
        flags: dnsPacket.RECURSION_DESIRED,
        questions: [{ type, name: text }],
        additionals: edns ? [opt] : [],
      });
      assert.equal(question.read(message, 0, message.length), DNS_SOUND);
      assert.equal(question.hasEdns, edns);
      const unescaped = formatDomainName(question.name.labels).replaceAll(/\\(\d{3})/g, (_, code) =>
        String.fromCharCode(code),
      );
      assert.equal(unescaped, text === "" ? "." : text.toLowerCase());
      const length = putDnsAnswer(out, 0, question, message, 0, RCODE_NAME_ERROR, tcp);
      const written = out.subarray(0, length);
      const answer = (tcp ? dnsPacket.streamDecode(written) : dnsPacket.decode(written)) as Packet & { rcode: string };
      assert.equal(answer.id, 0x1234);
      assert.equal(answer.rcode, "NXDOMAIN");
      assert.equal(answer.questions![0]!.name, text === "" ? "." : text);
      assert.equal(answer.questions![0]!.type, type);
      assert.deepEqual(answer.answers, []);
      assert.equal(answer.additionals!.length, edns ? 1 : 0);
      const echoed = answer.additionals![0] as { flag_do: boolean } | undefined;
      assert.equal(echoed?.flag_do, edns ? dnssec : undefined);
    }),
    { numRuns: NUM_RUNS },
  );
});
