/** Questions and softnet's own answers: literal bytes, as RFC 1035 4.1 and RFC 6891 6.1.2 lay them out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DNS_ADDITIONAL,
  DNS_CLASS,
  DNS_COUNTS,
  DNS_DIRECTION,
  DNS_NAME,
  DNS_OPCODE,
  DNS_SHORT,
  DNS_SOUND,
  DNS_TRAILING,
  RCODE_NAME_ERROR,
  RCODE_NO_ERROR,
  RECORD_A,
  RECORD_HTTPS,
} from "../../src/wire/dns-header.ts";
import { DnsQuestion, LONGEST_DNS_ANSWER, putDnsAnswer } from "../../src/wire/dns-message.ts";
import { DnsName } from "../../src/wire/dns-name.ts";
import { formatDomainName } from "../../src/wire/domain-name.ts";

const bytes = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");
const text = (name: DnsName): string => formatDomainName(name.labels);

/** 4242, recursion desired; www.Example.COM, A, IN. */
const HEADER = "4242 0100 0001 0000 0000 0000";
const WITH_EDNS = "4242 0100 0001 0000 0000 0001";
const NAME = "03777777 074578616d706c65 03434f4d 00";
const QUESTION = `${NAME} 0001 0001`;
/** OPT: the root, type 41, 1232 bytes, extended RCODE 0, version 0, DO, no options. */
const OPT = "00 0029 04d0 00 00 8000 0000";

function read(hex: string): { fault: number; question: DnsQuestion; message: Buffer } {
  const question = new DnsQuestion();
  const message = bytes(hex);
  // Around the message is what must not be read.
  const memory = Buffer.concat([Buffer.alloc(5, 0xc0), message, bytes(QUESTION + OPT)]);
  return { fault: question.read(memory, 5, message.length), question, message };
}

test("a question, byte by byte (RFC 1035 4.1.2)", () => {
  const { fault, question } = read(HEADER + QUESTION);
  assert.equal(fault, DNS_SOUND);
  assert.equal(question.id, 0x4242);
  assert.equal(question.flags, 0x0100);
  assert.equal(text(question.name), "www.example.com");
  assert.deepEqual(
    Buffer.from(question.name.labels.subarray(0, question.name.length)),
    bytes(NAME.toLowerCase().replace("45", "65").replace("434f4d", "636f6d")),
  );
  assert.equal(question.type, RECORD_A);
  assert.equal(question.class, 1);
  assert.equal(question.questionLength, 21);
  assert.equal(question.hasEdns, false);
});

test("EDNS is passed over, whatever its options are (RFC 6891 6.1.2)", () => {
  for (const opt of [OPT, "00 0029 ffff 00 01 0000 0000", "00 0029 0200 00 00 0000 000c 000a 0008 0102030405060708"]) {
    const { fault, question } = read(WITH_EDNS + QUESTION + opt);
    assert.equal(fault, DNS_SOUND);
    assert.equal(question.hasEdns, true);
    assert.equal(question.ednsVersion, opt === OPT ? 0 : Number(opt.slice(16, 18)));
  }
});

test("the root, other types and the longest name", () => {
  assert.equal(text(read(`${HEADER} 00 0002 0001`).question.name), ".");
  assert.equal(read(`${HEADER} ${NAME} 0041 0001`).question.type, RECORD_HTTPS);
  const label = `3f${"61".repeat(63)}`;
  const { fault, question } = read(`${HEADER} ${label}${label}${label} 3d${"62".repeat(61)} 00 0001 0001`);
  assert.equal(fault, DNS_SOUND);
  assert.equal(question.name.length, 255);
  assert.equal(read(`${HEADER} ${label}${label}${label} 3e${"62".repeat(62)} 00 0001 0001`).fault, DNS_NAME);
  assert.equal(read(`${HEADER} ${"0161".repeat(127)} 00 0001 0001`).fault, DNS_SOUND);
  assert.equal(read(`${HEADER} ${"0161".repeat(128)} 00 0001 0001`).fault, DNS_NAME);
});

test("what is no question says what does not hold", () => {
  for (const [hex, fault] of [
    ["", DNS_SHORT],
    ["4242 0100 0001 0000 0000 00", DNS_SHORT],
    [`4242 8180 0001 0000 0000 0000 ${QUESTION}`, DNS_DIRECTION],
    [`4242 2800 0001 0000 0000 0000 ${QUESTION}`, DNS_OPCODE],
    [`4242 0100 0000 0000 0000 0000`, DNS_COUNTS],
    [`4242 0100 0002 0000 0000 0000 ${QUESTION} ${QUESTION}`, DNS_COUNTS],
    [`4242 0100 0001 0001 0000 0000 ${QUESTION}`, DNS_COUNTS],
    [`4242 0100 0001 0000 0001 0000 ${QUESTION}`, DNS_COUNTS],
    [`4242 0100 0001 0000 0000 0002 ${QUESTION} ${OPT} ${OPT}`, DNS_COUNTS],
    [HEADER, DNS_NAME],
    [`${HEADER} 03777777`, DNS_NAME],
    [`${HEADER} 0377`, DNS_NAME],
    [`${HEADER} 40${"61".repeat(64)} 00 0001 0001`, DNS_NAME], // a label of 64 bytes: an unknown kind (RFC 6891 5)
    [`${HEADER} 8061 00 0001 0001`, DNS_NAME],
    [`${HEADER} c00c 0001 0001`, DNS_NAME], // to itself
    [`${HEADER} 0161 c00c 0001 0001`, DNS_NAME], // a loop
    [`${HEADER} c00e 0001 0001 0161 00`, DNS_NAME], // forwards
    [`${HEADER} c005 0001 0001`, DNS_NAME], // into the header, in which a zero byte is a root
    [`${HEADER} 0161 c0`, DNS_NAME],
    [`${HEADER} ${NAME} 0001 00`, DNS_SHORT],
    [`${WITH_EDNS} ${QUESTION}`, DNS_ADDITIONAL],
    [`${WITH_EDNS} ${QUESTION} 00 0029 04d0 00 00 8000 00`, DNS_ADDITIONAL],
    [`${WITH_EDNS} ${QUESTION} 00 0029 04d0 00 00 8000 0001`, DNS_ADDITIONAL],
    [`${WITH_EDNS} ${QUESTION} 0161 00 0029 04d0 00 00 8000 0000`, DNS_ADDITIONAL], // an owner other than the root
    [`${WITH_EDNS} ${QUESTION} 00 00fa 00ff 00000000 0000`, DNS_ADDITIONAL], // TSIG
    [`${HEADER} ${QUESTION} 00`, DNS_TRAILING],
    [`${HEADER} ${QUESTION} ${OPT}`, DNS_TRAILING],
    [`${HEADER} ${NAME} 0010 0003`, DNS_CLASS], // CHAOS
  ] as const) {
    assert.equal(read(hex).fault, fault, hex);
  }
});

test("nothing of an earlier message is left", () => {
  const question = new DnsQuestion();
  const first = bytes(WITH_EDNS + QUESTION + OPT);
  assert.equal(question.read(first, 0, first.length), DNS_SOUND);
  assert.equal(question.read(first, 0, 11), DNS_SHORT);
  assert.deepEqual({ ...question, name: 0 }, { ...new DnsQuestion(), name: 0 });
  assert.equal(question.name.length, 0);
});

test("a label with a dot or a zero byte in it is never two labels", () => {
  const one = new DnsName();
  const two = new DnsName();
  for (const inside of ["2e", "00"]) {
    const dotted = bytes(`${"00".repeat(12)} 0b 6578616d706c65 ${inside} 636f6d 00`);
    const labels = bytes(`${"00".repeat(12)} 07 6578616d706c65 03 636f6d 00`);
    assert.equal(one.read(dotted, 0, dotted.length, 12), dotted.length);
    assert.equal(two.read(labels, 0, labels.length, 12), labels.length);
    assert.equal(one.length, two.length);
    assert.equal(one.equals(two), false);
    assert.notEqual(text(one), text(two));
  }
});

test("a name is below another one only at the beginning of a label", () => {
  const name = (labels: string): DnsName => {
    const message = Buffer.concat([Buffer.alloc(12), bytes(labels)]);
    const read = new DnsName();
    assert.equal(read.read(message, 0, message.length, 12), message.length);
    return read;
  };
  const com = name("03 636f6d 00");
  assert.equal(name("0161 03 636f6d 00").isBelow(com), true);
  assert.equal(name("03 636f6d 00").isBelow(com), false);
  assert.equal(name("00").isBelow(com), false);
  assert.equal(name("00").isBelow(name("00")), false);
  assert.equal(com.isBelow(name("00")), true);
  assert.equal(name("05 6103636f6d 00").isBelow(com), false); // one label with the bytes of the other name
});

test("compressed names, as RFC 1035 4.1.4 has them", () => {
  const message = Buffer.alloc(93);
  message.set(bytes("01 46 03 495349 04 41525041 00"), 20);
  message.set(bytes("03 464f4f c014"), 40);
  message.set(bytes("c01a"), 64);
  const name = new DnsName();
  for (const [at, behind, expected] of [
    [20, 32, "f.isi.arpa"],
    [40, 46, "foo.f.isi.arpa"],
    [64, 66, "arpa"],
    [92, 93, "."],
  ] as const) {
    assert.equal(name.read(message, 0, message.length, at), behind);
    assert.equal(text(name), expected);
  }
});

/** SOA: the root, type 6, class 1, TTL 0, 22 bytes: the root twice, and serial, three times and the least TTL of 0 (RFC 1035 3.3.13). */
const SOA = `00 0006 0001 00000000 0016 00 00 ${"00000000".repeat(5)}`;

function answer(hex: string, rcode: number, overTcp: boolean): Buffer {
  const question = new DnsQuestion();
  const message = bytes(hex);
  const fault = question.read(message, 0, message.length);
  assert.ok(fault === DNS_SOUND || fault === DNS_CLASS);
  const out = Buffer.alloc(LONGEST_DNS_ANSWER + 4, 0xee);
  const length = putDnsAnswer(out, 2, question, message, 0, rcode, overTcp);
  assert.ok(
    out.subarray(0, 2).every((byte) => byte === 0xee) && out.subarray(2 + length).every((byte) => byte === 0xee),
  );
  return out.subarray(2, 2 + length);
}

test("the name does not exist: the question as it was asked, and a SOA record that nobody keeps it (RFC 2308 5)", () => {
  assert.deepEqual(
    answer(HEADER + QUESTION, RCODE_NAME_ERROR, false),
    bytes(`4242 8183 0001 0000 0001 0000 ${QUESTION} ${SOA}`),
  );
});

test("no record of this type", () => {
  assert.deepEqual(
    answer(HEADER + QUESTION, RCODE_NO_ERROR, false),
    bytes(`4242 8180 0001 0000 0001 0000 ${QUESTION} ${SOA}`),
  );
});

test("over TCP the message's length comes first (RFC 1035 4.2.2)", () => {
  const message = `4242 8183 0001 0000 0001 0001 ${QUESTION} ${SOA} ${OPT}`;
  assert.deepEqual(answer(WITH_EDNS + QUESTION + OPT, RCODE_NAME_ERROR, true), bytes(`004d ${message}`));
});

test("EDNS gets EDNS without options, with DO as it was (RFC 6891 6.1.1, RFC 4035 3.2.1)", () => {
  const asked = `${WITH_EDNS} ${QUESTION} 00 0029 1000 00 00 7fff 0008 000c 0004 00000000`;
  const message = `4242 8183 0001 0000 0001 0001 ${QUESTION} ${SOA} 00 0029 04d0 00 00 0000 0000`;
  assert.deepEqual(answer(asked, RCODE_NAME_ERROR, false), bytes(message));
});

test("a version of EDNS other than 0 gets BADVERS (RFC 6891 6.1.3)", () => {
  const asked = `${WITH_EDNS} ${QUESTION} 00 0029 04d0 00 01 0000 0000`;
  const message = `4242 8180 0001 0000 0000 0001 ${QUESTION} 00 0029 04d0 01 00 0000 0000`;
  assert.deepEqual(answer(asked, RCODE_NAME_ERROR, false), bytes(message));
});

test("of the flags, RD and CD are copied (RFC 4035 3.2.2)", () => {
  for (const [asked, answered] of [
    ["0000", "8083"],
    ["0010", "8093"],
    ["07f0", "8193"],
    ["0120", "8183"],
  ]) {
    const given = answer(`4242 ${asked} 0001 0000 0000 0000 ${QUESTION}`, RCODE_NAME_ERROR, false);
    assert.equal(given.toString("hex", 2, 4), answered);
  }
});

test("the longest question has an answer, which fits", () => {
  const label = `3f${"61".repeat(63)}`;
  const name = `${label}${label}${label} 3d${"62".repeat(61)} 00`;
  assert.equal(answer(`${WITH_EDNS} ${name} 0010 0003 ${OPT}`, RCODE_NAME_ERROR, true).length, LONGEST_DNS_ANSWER);
});
