/** The server name of a TLS client's hello, however it arrives (RFC 8446 4.1.2 and 5.1, RFC 6066 3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HELLO_MALFORMED, HELLO_MORE, HELLO_NAMED, LONGEST_HELLO, TlsHello } from "../../src/wire/tls-hello.ts";
import {
  bytes,
  ECH,
  extension,
  GREASE,
  hello,
  nameEntry,
  RFC_8448,
  readHello,
  records,
  serverName,
  sized,
} from "./tls-support.ts";

const plain = hello({ extensions: serverName("www.Example.com") });

test("the hello of RFC 8448, in one piece and byte by byte", () => {
  assert.equal(readHello(RFC_8448), "server");
  assert.equal(readHello(RFC_8448, [1]), "server");
  for (let length = 0; length < RFC_8448.length; length++) {
    assert.equal(readHello(RFC_8448.subarray(0, length)), "more", `${length} bytes`);
  }
});

test("the name in wire labels", () => {
  const reader = new TlsHello();
  reader.start();
  const stream = records(plain);
  assert.equal(reader.feed(stream, 0, stream.length), HELLO_NAMED);
  const labels = Buffer.from(reader.host.labels.subarray(0, reader.host.length));
  assert.deepEqual(labels, bytes("03 777777 07 6578616d706c65 03 636f6d 00"));
});

test("a hello in many records, down to one byte each (RFC 8446 5.1)", () => {
  for (const size of [1, 2, 3, 50, plain.length - 1]) {
    assert.equal(readHello(records(plain, size)), "www.example.com");
    assert.equal(readHello(records(plain, size), [1]), "www.example.com");
  }
  const large = hello({ extensions: Buffer.concat([extension(51, Buffer.alloc(1216)), serverName("a.example")]) });
  assert.equal(readHello(records(large, 512), [1460, 300]), "a.example");
});

test("what follows in other records, or behind a final result, changes nothing", () => {
  const early = Buffer.concat([records(plain), bytes("14 0303 0001 01"), bytes("17 0303 0003 616263")]);
  assert.equal(readHello(early), "www.example.com");
  assert.equal(readHello(early, [1]), "www.example.com");
  assert.equal(readHello(Buffer.concat([bytes("00"), records(plain)])), "malformed");
});

test("GREASE, ECH, pre_shared_key and unknown extensions are passed over, before the name and behind it", () => {
  const psk = extension(41, Buffer.alloc(90));
  for (const extensions of [
    [GREASE, serverName("a.example"), ECH, psk],
    [ECH, extension(0xfafa, Buffer.of(0)), serverName("a.example"), GREASE],
    [psk, serverName("a.example")],
    [extension(0x4444, serverName("b.example")), serverName("a.example"), extension(21, serverName("b.example"))],
  ]) {
    assert.equal(readHello(records(hello({ extensions: Buffer.concat(extensions) })), [1]), "a.example");
  }
});

test("a whole hello without a name", () => {
  assert.equal(readHello(records(hello({ extensions: null }))), "nameless");
  assert.equal(readHello(records(hello({ extensions: Buffer.of() }))), "nameless");
  assert.equal(readHello(records(hello({ extensions: Buffer.concat([GREASE, ECH]) }))), "nameless");
  assert.equal(readHello(records(hello({ extensions: GREASE, sessionId: Buffer.of() }), 1)), "nameless");
});

const malformed: readonly (readonly [string, Uint8Array])[] = [
  ["SSL 2.0", bytes("80 2e 01 03 01 00 15 00 00 00 10 01 00 80")],
  ["HTTP", Buffer.from("GET / HTTP/1.1\r\n")],
  ["an alert", bytes("15 0301 0002 0100")],
  ["change_cipher_spec before it", Buffer.concat([bytes("14 0303 0001 01"), records(plain)])],
  ["another major version in the record", records(plain, 16_384, "0401")],
  ["another major version in the second record", Buffer.concat([records(plain.subarray(0, 9)), bytes("16 02 03")])],
  ["another type in the second record", Buffer.concat([records(plain.subarray(0, 9)), bytes("17 03 03")])],
  ["an empty record", Buffer.concat([bytes("16 0301 0000"), records(plain)])],
  ["a record of more than 16,384 bytes", bytes("16 0301 4001")],
  ["a server's hello", records(hello({ type: 2 }))],
  ["a request for a hello", bytes("16 0301 0004 00000000")],
  ["another major version in the hello", records(hello({ version: "0203", extensions: serverName("a.example") }))],
  ["an empty hello", bytes("16 0301 0004 01000000")],
  ["a hello that ends within its random", bytes("16 0301 000a 01000006 0303 01020304")],
  ["a session id of 33 bytes", records(hello({ sessionId: Buffer.alloc(33) }))],
  ["no cipher suites", records(hello({ suites: Buffer.of() }))],
  ["half a cipher suite", records(hello({ suites: bytes("1301 13") }))],
  ["no compression method", records(hello({ compressions: Buffer.of() }))],
  ["two names in the list", records(hello({ extensions: serverName("a.example", "b.example") }))],
  ["the same name in the list twice", records(hello({ extensions: serverName("a.example", "a.example") }))],
  [
    "server_name twice",
    records(hello({ extensions: Buffer.concat([serverName("a.example"), serverName("b.example")]) })),
  ],
  [
    "the same server_name twice",
    records(hello({ extensions: Buffer.concat([serverName("a.b"), GREASE, serverName("a.b")]) })),
  ],
  ["another message in the same record", records(Buffer.concat([plain, hello({})]))],
  ["another message in the last record", records(Buffer.concat([plain, hello({})]), plain.length - 5)],
  ["a byte behind the hello", records(Buffer.concat([plain, Buffer.of(0)]))],
  ["an empty server_name", records(hello({ extensions: extension(0, Buffer.of()) }))],
  ["an empty list", records(hello({ extensions: extension(0, bytes("0000")) }))],
  ["an entry of another type", records(hello({ extensions: extension(0, sized(2, nameEntry("a.example", 1))) }))],
  [
    "an entry of another type first",
    records(hello({ extensions: extension(0, sized(2, nameEntry("x", 1), nameEntry("a.b"))) })),
  ],
  [
    "bytes behind the list",
    records(hello({ extensions: extension(0, Buffer.concat([sized(2, nameEntry("a.b")), Buffer.of(0)])) })),
  ],
  [
    "a list that is longer than its extension",
    records(hello({ extensions: extension(0, bytes("0007 00 0003 612e62")) })),
  ],
  ["a name that is longer than its list", records(hello({ extensions: extension(0, bytes("0006 00 0004 612e62")) }))],
  ["a name that is shorter than its list", records(hello({ extensions: extension(0, bytes("0006 00 0002 612e62")) }))],
  ["an extension that is longer than the hello", records(hello({ extensions: bytes("1a1a 0001") }))],
  [
    "a server_name that is longer than the hello",
    records(hello({ extensions: bytes("0000 0009 0007 00 0004 612e62") })),
  ],
  ["half an extension's header", records(hello({ extensions: bytes("1a1a 00") }))],
];

for (const [what, stream] of malformed) {
  test(`malformed: ${what}`, () => {
    assert.equal(readHello(stream), "malformed");
    assert.equal(readHello(stream, [1]), "malformed");
  });
}

test("extensions that are shorter or longer than the rest of the hello", () => {
  const message = hello({ extensions: serverName("a.example") });
  const at = message.length - serverName("a.example").length - 2;
  for (const change of [-1, 1]) {
    const other = Buffer.from(message);
    other.writeUInt16BE(message.readUInt16BE(at) + change, at);
    assert.equal(readHello(records(other)), "malformed");
  }
});

test("names that are no host names", () => {
  const long = `${"a".repeat(60)}.`.repeat(4);
  const names = [
    "a\0.example",
    "a.example\0",
    "a..b",
    ".a",
    "a.example.",
    "-a.b",
    "a-.b",
    "a b",
    "ä.example",
    "*.b",
    "a:443",
  ];
  for (const name of [
    ...names,
    "192.0.2.1",
    "1",
    "[::1]",
    "::1",
    "a/b",
    `${"a".repeat(64)}.b`,
    `${long}${"b".repeat(10)}`,
  ]) {
    assert.equal(readHello(records(hello({ extensions: serverName(name) }))), "malformed", JSON.stringify(name));
  }
  for (const name of ["a", "my_host.example", "xn--bcher-kva.example", "1.a", `${long}${"b".repeat(9)}`]) {
    assert.equal(readHello(records(hello({ extensions: serverName(name) }))), name);
  }
});

test("a hello has 16,384 bytes at most, the headers of its records included", () => {
  const of = (length: number): Buffer => {
    const padding = length - hello({ extensions: serverName("a.example") }).length - 4;
    return hello({ extensions: Buffer.concat([extension(21, Buffer.alloc(padding)), serverName("a.example")]) });
  };
  assert.equal(readHello(records(of(LONGEST_HELLO - 5)), [1000]), "a.example");
  assert.equal(readHello(records(of(LONGEST_HELLO - 4)), [1000]), "malformed");
  assert.equal(readHello(records(of(LONGEST_HELLO - 10), 10_000), [1000]), "a.example");
  assert.equal(readHello(records(of(LONGEST_HELLO - 9), 10_000), [1000]), "malformed");
  assert.equal(readHello(bytes("16 0301 0004 01ffffff")), "malformed");
});

test("a length that leaves too little for what must follow is malformed with its last byte", () => {
  const begin = [3, 3, ...new Array(32).fill(0xab)];
  const suites = [0, 2, 0x13, 1];
  const cases: readonly [total: number, body: readonly number[]][] = [
    [34, []], // no session id's length
    [36, [...begin, 0]], // of the suites' length one byte
    [36 + 32, [...begin, 32]],
    [39, [...begin, 0, 0, 2]], // no compressions' length
    [42, [...begin, 0, ...suites, 1]], // of the extensions' length one byte
    [50, [...begin, 0, ...suites, 1, 0, 0, 7, 0x1a, 0x1a, 0, 0]], // of a second extension's header three bytes
  ];
  for (const [total, body] of cases) {
    const bytes = Uint8Array.of(22, 3, 1, 1, 0, 1, 0, 0, total, ...body);
    const hello = new TlsHello();
    hello.start();
    assert.equal(hello.feed(bytes, 0, bytes.length - 1), HELLO_MORE, `${total}`);
    assert.equal(hello.feed(bytes, bytes.length - 1, 1), HELLO_MALFORMED, `${total}`);
  }
});
