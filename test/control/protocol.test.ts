/** The control protocol in literal bytes: what is asked, and exactly what is answered. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Controller, house } from "./support.ts";

const START = { allow: ["192.168.7.9/16", "@host"], block: ["in  10.1.2.3/8:80-80"] };
const IN_FORCE = '{"allow":["192.168.0.0/16","@host"],"block":["in 10.0.0.0/8:80"],"ruleCount":3}';

/** Where only the code is promised, the words are left out of what is compared. */
const codeOnly = (line: string): string => line.replace(/,"message":"(?:[^"\\]|\\.)*"\}\}$/, "}}");
const error = (code: number, id = "null"): string => `{"jsonrpc":"2.0","id":${id},"error":{"code":${code}}}`;
const get = (id: string): string => `{"jsonrpc":"2.0","id":${id},"method":"softnet.policy.get"}`;
const set = (params: string, id = "1"): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"softnet.policy.set","params":${params}}`;

const ANSWERED: readonly (readonly [what: string, request: string, answer: string])[] = [
  ["get without params", get("1"), `{"jsonrpc":"2.0","id":1,"result":${IN_FORCE}}`],
  [
    "get with params null",
    '{"jsonrpc":"2.0","id":2,"method":"softnet.policy.get","params":null}',
    `{"jsonrpc":"2.0","id":2,"result":${IN_FORCE}}`,
  ],
  [
    "get with empty params, keys in another order, and space",
    ' { "params" : { } , "method" : "softnet.policy.get" ,\t"id" : "a" , "jsonrpc" : "2.0" }\r',
    `{"jsonrpc":"2.0","id":"a","result":${IN_FORCE}}`,
  ],
  ["an id of 0", get("0"), `{"jsonrpc":"2.0","id":0,"result":${IN_FORCE}}`],
  [
    "the largest id, to the last digit",
    get("18446744073709551615"),
    `{"jsonrpc":"2.0","id":18446744073709551615,"result":${IN_FORCE}}`,
  ],
  ["an id past 2^53", get("9007199254740993"), `{"jsonrpc":"2.0","id":9007199254740993,"result":${IN_FORCE}}`],
  ["an empty string as id", get('""'), `{"jsonrpc":"2.0","id":"","result":${IN_FORCE}}`],
  [
    "an id that needs escapes",
    get('"\\u0041\\n\\"\\\\\u00e9"'),
    `{"jsonrpc":"2.0","id":"A\\n\\"\\\\\u00e9","result":${IN_FORCE}}`,
  ],
  [
    "an id of 256 bytes",
    get(`"${"x".repeat(256)}"`),
    `{"jsonrpc":"2.0","id":"${"x".repeat(256)}","result":${IN_FORCE}}`,
  ],
  [
    "events",
    '{"jsonrpc":"2.0","id":1,"method":"softnet.events"}',
    '{"jsonrpc":"2.0","id":1,"result":{"subscribed":true}}',
  ],
  ["status", '{"jsonrpc":"2.0","id":1,"method":"softnet.status"}', '{"jsonrpc":"2.0","id":1,"result":{"version":"0"}}'],
  [
    "explain",
    '{"jsonrpc":"2.0","id":1,"method":"softnet.explain","params":{"direction":"out","protocol":"tcp","remote":"1.2.3.4","port":443}}',
    '{"jsonrpc":"2.0","id":1,"result":{"direction":"out","protocol":"tcp","remote":"1.2.3.4","port":443,"verdict":"pass"}}',
  ],
  [
    "explain an IPv6 address",
    '{"jsonrpc":"2.0","id":1,"method":"softnet.explain","params":{"direction":"in","protocol":"icmp","remote":"2001:DB8:0::1"}}',
    '{"jsonrpc":"2.0","id":1,"result":{"direction":"in","protocol":"icmp","remote":"2001:db8::1","verdict":"pass"}}',
  ],
];

for (const [what, request, answer] of ANSWERED) {
  test(`answered: ${what}`, async (t) => {
    const controller = Controller.inherited(t, house(t, START));
    assert.equal(await controller.ask(request), answer);
  });
}

const explain = (params: string) => `{"jsonrpc":"2.0","id":1,"method":"softnet.explain","params":${params}}`;

const REFUSED: readonly (readonly [what: string, request: string | Uint8Array, code: number, id?: string])[] = [
  ["an empty line", "", -32700],
  ["no JSON", "{", -32700],
  ["words after the value", `${get("1")} x`, -32700],
  ["a single quote", "{'jsonrpc':'2.0'}", -32700],
  ["a trailing comma", '{"jsonrpc":"2.0","id":1,}', -32700],
  ["a control character in a string", get('"a\tb"'), -32700],
  ["half of a surrogate pair", get('"\\ud800"'), -32700],
  ["a number with a leading zero", get("01"), -32700],
  ["NaN", get("NaN"), -32700],
  ["a byte order mark", `\ufeff${get("1")}`, -32700],
  [
    "invalid UTF-8",
    Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":"'), Uint8Array.of(0xc0, 0x80), Buffer.from('"}')]),
    -32700,
  ],
  [
    "a UTF-8 surrogate",
    Buffer.concat([Buffer.from('{"id":"'), Uint8Array.of(0xed, 0xa0, 0x80), Buffer.from('"}')]),
    -32700,
  ],
  ["17 levels", `${"[".repeat(17)}${"]".repeat(17)}`, -32700],
  ["half a million levels", "[".repeat(500_000), -32700],
  ["16 levels, which are no request", `${"[".repeat(16)}${"]".repeat(16)}`, -32600],
  ["17 levels inside a request", set(`${"[".repeat(16)}${"]".repeat(16)}`), -32700],
  ["16 levels inside a request", set(`${"[".repeat(15)}${"]".repeat(15)}`), -32602, "1"],
  [
    "16,385 values",
    `[${Array(128)
      .fill(`[${Array(127).fill("0").join(",")}]`)
      .join(",")},0]`,
    -32700,
  ],
  [
    "16,384 values, which are no request",
    `[${Array(128)
      .fill(`[${Array(127).fill("0").join(",")}]`)
      .join(",")}]`,
    -32600,
  ],
  ["a mebibyte of arrays in each other", `[${`${"[".repeat(14)}${"]".repeat(14)},`.repeat(36_000)}0]`, -32700],
  ["a batch", `[${get("1")}]`, -32600],
  ["an empty batch", "[]", -32600],
  ["a string", '"softnet.policy.get"', -32600],
  ["a number", "17", -32600],
  ["null", "null", -32600],
  ["an empty object", "{}", -32600],
  ["no jsonrpc", '{"id":1,"method":"softnet.policy.get"}', -32600, "1"],
  ["jsonrpc 1.0", '{"jsonrpc":"1.0","id":1,"method":"softnet.policy.get"}', -32600, "1"],
  ["jsonrpc as a number", '{"jsonrpc":2.0,"id":1,"method":"softnet.policy.get"}', -32600, "1"],
  ["no method", '{"jsonrpc":"2.0","id":1}', -32600, "1"],
  ["a method that is no string", '{"jsonrpc":"2.0","id":1,"method":1}', -32600, "1"],
  ["an unknown key", '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.get","more":1}', -32600, "1"],
  ["method twice", '{"jsonrpc":"2.0","id":1,"method":"a","method":"softnet.policy.get"}', -32600, "1"],
  ["id twice", '{"jsonrpc":"2.0","id":1,"id":1,"method":"softnet.policy.get"}', -32600, "1"],
  ["id null", get("null"), -32600],
  ["id true", get("true"), -32600],
  ["id 1.0", get("1.0"), -32600],
  ["id 1e3", get("1e3"), -32600],
  ["id -1", get("-1"), -32600],
  ["id -0", get("-0"), -32600],
  ["id 2^64", get("18446744073709551616"), -32600],
  ["an id of a thousand digits", get("9".repeat(1000)), -32600],
  ["an id of 257 bytes", get(`"${"x".repeat(257)}"`), -32600],
  ["an id of 129 characters and 258 bytes", get(`"${"\u00e9".repeat(129)}"`), -32600],
  ["an id that is an array", get("[]"), -32600],
  ["an unknown method", '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.reset"}', -32601, "1"],
  ["a method of Object's", '{"jsonrpc":"2.0","id":1,"method":"constructor"}', -32601, "1"],
  ["an unknown method with any params", '{"jsonrpc":"2.0","id":1,"method":"x","params":7}', -32601, "1"],
  ["get with a param", '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.get","params":{"a":1}}', -32602, "1"],
  ["get with an array", '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.get","params":[]}', -32602, "1"],
  ["status with a param", '{"jsonrpc":"2.0","id":1,"method":"softnet.status","params":{"a":1}}', -32602, "1"],
  ["events with a string", '{"jsonrpc":"2.0","id":1,"method":"softnet.events","params":"all"}', -32602, "1"],
  ["set without params", '{"jsonrpc":"2.0","id":1,"method":"softnet.policy.set"}', -32602, "1"],
  ["set with null", set("null"), -32602, "1"],
  ["set with {}", set("{}"), -32602, "1"],
  ["set without block", set('{"allow":[]}'), -32602, "1"],
  ["set without allow", set('{"block":[]}'), -32602, "1"],
  ["allow null", set('{"allow":null,"block":[]}'), -32602, "1"],
  ["allow as a string", set('{"allow":"@host","block":[]}'), -32602, "1"],
  ["a rule that is a number", set('{"allow":[1],"block":[]}'), -32602, "1"],
  ["a rule that is null", set('{"allow":[],"block":[null]}'), -32602, "1"],
  ["an unknown param", set('{"allow":[],"block":[],"reject":true}'), -32602, "1"],
  ["allow twice", set('{"allow":[],"allow":[],"block":[]}'), -32602, "1"],
  ["a rule that is none", set('{"allow":["10.0.0.0/33"],"block":[]}'), -32602, "1"],
  ["a rule with a tab", set('{"allow":["in\\t10.0.0.0/8"],"block":[]}'), -32602, "1"],
  ["isolation off", set('{"allow":[],"block":[],"isolation":"off"}'), -32602, "1"],
  ["isolation true", set('{"allow":[],"block":[],"isolation":true}'), -32602, "1"],
  ["a revision below 0", set('{"allow":[],"block":[],"desiredRevision":-1}'), -32602, "1"],
  ["a revision that is a string", set('{"allow":[],"block":[],"desiredRevision":"1"}'), -32602, "1"],
  ["a revision of null", set('{"allow":[],"block":[],"desiredRevision":null}'), -32602, "1"],
  ["a revision of 2^64", set('{"allow":[],"block":[],"desiredRevision":18446744073709551616}'), -32602, "1"],
  ["explain without params", '{"jsonrpc":"2.0","id":1,"method":"softnet.explain"}', -32602, "1"],
  ["explain up", explain('{"direction":"up","protocol":"tcp","remote":"1.2.3.4"}'), -32602, "1"],
  ["explain sctp", explain('{"direction":"out","protocol":"sctp","remote":"1.2.3.4"}'), -32602, "1"],
  ["explain a name", explain('{"direction":"out","protocol":"tcp","remote":"example.org"}'), -32602, "1"],
  [
    "explain an IPv6 address in brackets",
    explain('{"direction":"out","protocol":"tcp","remote":"[::1]"}'),
    -32602,
    "1",
  ],
  ["explain a zone", explain('{"direction":"out","protocol":"tcp","remote":"fe80::1%eth0"}'), -32602, "1"],
  ["explain port 0", explain('{"direction":"out","protocol":"tcp","remote":"1.2.3.4","port":0}'), -32602, "1"],
  ["explain port 65536", explain('{"direction":"out","protocol":"tcp","remote":"1.2.3.4","port":65536}'), -32602, "1"],
  ["explain port 8e1", explain('{"direction":"out","protocol":"tcp","remote":"1.2.3.4","port":8e1}'), -32602, "1"],
  ["explain protocol 256", explain('{"direction":"out","protocol":256,"remote":"1.2.3.4"}'), -32602, "1"],
  ["explain protocol 4.5", explain('{"direction":"out","protocol":4.5,"remote":"1.2.3.4"}'), -32602, "1"],
  ["explain GRE with a port", explain('{"direction":"out","protocol":47,"remote":"1.2.3.4","port":7}'), -32602, "1"],
  [
    "explain a ping with a port",
    explain('{"direction":"out","protocol":"icmp","remote":"1.2.3.4","port":7}'),
    -32602,
    "1",
  ],
];

test("refused, each with its code, and the channel and the policy are as before (I10)", async (t) => {
  const here = house(t, START);
  const controller = Controller.inherited(t, here);
  for (const [what, request, code, id] of REFUSED) {
    await controller.send(Buffer.concat([Buffer.from(request), Buffer.from("\n")]));
    assert.equal(codeOnly(await controller.line()), error(code, id), what);
  }
  assert.equal(await controller.ask(get("1")), `{"jsonrpc":"2.0","id":1,"result":${IN_FORCE}}`);
  assert.deepEqual(here.applied, []);
  assert.deepEqual(here.broken, []);
  assert.deepEqual(here.faults, []);
});

test("a set replaces everything, and answers normal form, sorted, each rule once", async (t) => {
  const here = house(t, START);
  const controller = Controller.inherited(t, here);
  const wanted =
    '{"block":["out 10.255.0.1/8:443-443","@metadata"],"allow":["9.9.9.9/32","@private","in   1.2.3.4/8:8000-8999","9.9.9.9/32"]}';
  const result =
    '{"allow":["9.9.9.9/32","@private","in 1.0.0.0/8:8000-8999"],"block":["@metadata","out 10.0.0.0/8:443"],"ruleCount":5}';
  assert.equal(await controller.ask(set(wanted, '"s"')), `{"jsonrpc":"2.0","id":"s","result":${result}}`);
  assert.equal(await controller.ask(get("2")), `{"jsonrpc":"2.0","id":2,"result":${result}}`);
  assert.equal(here.applied.length, 1);
  assert.equal(here.applied[0]!.length, 5);
  assert.equal(
    await controller.ask(set('{"allow":[],"block":[]}')),
    '{"jsonrpc":"2.0","id":1,"result":{"allow":[],"block":[],"ruleCount":0}}',
  );
  assert.deepEqual(here.applied[1], []);
});

test("a revision is echoed, an older one is refused, the same one is taken again", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  const revised = (revision: string, rule: string) =>
    set(`{"allow":["${rule}"],"block":[],"desiredRevision":${revision}}`);
  const taken = (revision: string, rule: string) =>
    `{"jsonrpc":"2.0","id":1,"result":{"allow":["${rule}"],"block":[],"ruleCount":1,"desiredRevision":${revision}}}`;
  assert.equal(await controller.ask(revised("0", "@dns")), taken("0", "@dns"));
  assert.equal(await controller.ask(revised("7", "@host")), taken("7", "@host"));
  assert.equal(await controller.ask(revised("7", "@dns")), taken("7", "@dns"));
  assert.equal(
    await controller.ask(revised("6", "@host")),
    '{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"revision 6 is stale: 7 is in force"}}',
  );
  // A refused set moves nothing, not even the revision.
  assert.equal(codeOnly(await controller.ask(revised("9", "nonsense"))), error(-32602, "1"));
  assert.equal(await controller.ask(revised("8", "@host")), taken("8", "@host"));
  // Without a revision it is neither stale nor newer.
  assert.match(await controller.ask(set('{"allow":["@dns"],"block":[]}')), /"ruleCount":1\}\}$/);
  assert.equal(codeOnly(await controller.ask(revised("7", "@host"))), error(-32001, "1"));
  const most = "18446744073709551615";
  assert.equal(await controller.ask(revised(most, "@host")), taken(most, "@host"));
  assert.equal(codeOnly(await controller.ask(revised("18446744073709551614", "@dns"))), error(-32001, "1"));
  // Another channel meets the same revision.
  const other = Controller.client(t, here);
  assert.equal(codeOnly(await other.ask(revised("1", "@dns"))), error(-32001, "1"));
});

test("a request without an id is refused, whatever it asks, and changes nothing", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  const withoutId = (method: string, params: string) => `{"jsonrpc":"2.0","method":"${method}","params":${params}}`;
  for (const request of [
    withoutId("softnet.policy.set", '{"allow":["@host"],"block":[]}'),
    withoutId("softnet.policy.get", "{}"),
    withoutId("softnet.events", "{}"),
    withoutId("softnet.nothing", "{}"),
    '{"jsonrpc":"2.0"}',
  ]) {
    assert.equal(
      await controller.ask(request),
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"there is no id"}}',
    );
  }
  await controller.quiet();
  assert.deepEqual(here.applied, []);
  assert.equal(here.target.events.wanted, false);
});

const OPEN = '"allow":["0.0.0.0/0"],"block":[]';
const CLOSED = '"allow":["10.0.0.0/8","in 0.0.0.0/0","0.0.0.0/0:80"],"block":["0.0.0.0/0"]';

for (const [what, start, same, other, words] of [
  ["0.0.0.0/0 comes", [], CLOSED, OPEN, "allow 0.0.0.0/0 would end the VM's isolation"],
  [
    "0.0.0.0/0 goes",
    ["0.0.0.0/0"],
    OPEN,
    CLOSED,
    "a policy without allow 0.0.0.0/0 would bring back the VM's isolation",
  ],
] as const) {
  test(`a set under which the isolation would be another one is refused and changes nothing: ${what}`, async (t) => {
    const here = house(t, { allow: start, block: [] });
    const controller = Controller.inherited(t, here);
    const before = await controller.ask(get("1"));
    const refused = JSON.parse(await controller.ask(set(`{${other},"desiredRevision":7}`)));
    assert.equal(refused.error.code, -32002);
    assert.ok(refused.error.message.startsWith(words), refused.error.message);
    assert.equal(await controller.ask(get("1")), before);
    assert.deepEqual(here.applied, []);
    // The revision was not taken either, and a policy that leaves the isolation alone is no matter of it.
    assert.match(await controller.ask(set(`{${same},"desiredRevision":1}`)), /"desiredRevision":1\}\}$/);
    const kept = JSON.parse(await controller.ask(set(`{${other},"isolation":"keep","desiredRevision":2}`)));
    assert.deepEqual([kept.result.desiredRevision, kept.result.isolated], [2, true]);
    assert.equal(here.applied.length, 2);
    // What counts is the start, not the policy that is in force.
    assert.equal(codeOnly(await controller.ask(set(`{${other}}`))), error(-32002, "1"));
    assert.doesNotMatch(await controller.ask(set(`{${same}}`)), /error|isolated/);
  });
}

test("4,096 rules are taken, 4,097 are not, in one list or both", async (t) => {
  const here = house(t);
  const controller = Controller.inherited(t, here);
  const rules = (count: number, first = 0) =>
    JSON.stringify(
      Array.from({ length: count }, (_, index) => `10.${(first + index) >> 8}.${(first + index) & 255}.0/24`),
    );
  assert.match(await controller.ask(set(`{"allow":${rules(4096)},"block":[]}`)), /"ruleCount":4096\}\}$/);
  assert.match(
    await controller.ask(set(`{"allow":${rules(2048)},"block":${rules(2048, 4096)}}`)),
    /"ruleCount":4096\}\}$/,
  );
  assert.equal(codeOnly(await controller.ask(set(`{"allow":${rules(4097)},"block":[]}`))), error(-32602, "1"));
  assert.equal(
    codeOnly(await controller.ask(set(`{"allow":${rules(2048)},"block":${rules(2049)}}`))),
    error(-32602, "1"),
  );
  const many = JSON.stringify(Array.from({ length: 100_000 }, () => ""));
  assert.equal(codeOnly(await controller.ask(set(`{"allow":${many},"block":[]}`))), error(-32602, "1"));
  assert.match(await controller.ask(get("1")), /"ruleCount":4096\}\}$/);
  assert.equal(here.applied.length, 2);
});

test("an error's message names the value, and not all of a long one", async (t) => {
  const controller = Controller.inherited(t, house(t));
  const answer = await controller.ask(set('{"allow":["10.0.0.1"],"block":[]}'));
  assert.match(answer, /"message":"allow \\"10\.0\.0\.1\\" is not a rule: did you mean 10\.0\.0\.1\/32\?"/);
  const long = "x".repeat(500_000);
  for (const request of [
    set(`{"allow":["${long}"],"block":[]}`),
    `{"jsonrpc":"2.0","id":1,"method":"${long}"}`,
    `{"jsonrpc":"2.0","id":1,"method":"a","${long}":1}`,
  ]) {
    assert.ok((await controller.ask(request)).length < 1000);
  }
});
