/** A libvirt domain's XML: what softnet takes from it, and that a hostile one is refused with one line. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { attachableCards, LARGEST_DOMAIN, parseDomain } from "../../src/operate/domain-xml.ts";
import { UserError } from "../../src/user-error.ts";

const NAMESPACE = `xmlns:softnet="urn:softnet:libvirt:1"`;
const MAC = "52:54:00:00:00:01";
const CARD = `<interface type="bridge"><mac address="${MAC}"/><source bridge="br0"/><target dev="vnet0"/></interface>`;

const domain = (metadata = "", devices = CARD): string =>
  `<domain type="kvm" id="1"><name>vm1</name><metadata>${metadata}</metadata><devices>${devices}</devices></domain>`;
const softnet = (options: string): string => `<softnet:vm ${NAMESPACE}>${options}</softnet:vm>`;

test("name, cards and options, whatever else the domain has", () => {
  const more = `<disk type="file"><target dev="vda"/><mac address="x"/></disk><hostdev><name>other</name></hostdev>`;
  const options = `<softnet:block>@private</softnet:block><softnet:allow>\n out 203.0.113.7/32:443, out @dns:53 </softnet:allow><softnet:reject/>`;
  const text = domain(`<app:x xmlns:app="urn:x"><app:block>y</app:block></app:x>${softnet(options)}`, more + CARD);
  assert.deepEqual(parseDomain(text), {
    name: "vm1",
    cards: [{ type: "bridge", mac: MAC, target: "vnet0" }],
    options: ["block @private", "allow out 203.0.113.7/32:443, out @dns:53", "reject"],
  });
});

test("a domain without softnet's element does not ask for softnet; one with an empty element does", () => {
  assert.equal(parseDomain(domain()).options, undefined);
  assert.equal(parseDomain(domain(`<vm ${NAMESPACE}/>`)).options, undefined, "another namespace");
  assert.deepEqual(parseDomain(domain(softnet(""))).options, []);
  const prefixed = domain(`<s:vm xmlns:s="urn:softnet:libvirt:1"><s:only>example.com</s:only></s:vm>`);
  assert.deepEqual(parseDomain(prefixed).options, ["only example.com"], "the prefix is the writer's choice");
});

const LAUGHS = `<!DOCTYPE domain [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>`;
for (const [what, text, why] of [
  ["no XML", "vm1", /^the domain's XML: /],
  ["nothing", "", /^the domain's XML: /],
  ["cut off", domain().slice(0, -9), /^the domain's XML: /],
  ["no domain", "<network><name>vm1</name></network>", /no domain with a name/],
  ["a document type with entities", LAUGHS + domain(), /document type/],
  ["an entity that nobody declared", domain(softnet("<softnet:block>&b;</softnet:block>")), /^the domain's XML: /],
  ["an entity of a file", `<!DOCTYPE x SYSTEM "file:///etc/shadow">${domain()}`, /document type/],
  ["deep nesting", "<domain>".repeat(100_000), /64 deep/],
  ["too long", " ".repeat(LARGEST_DOMAIN + 1), /1048576 bytes/],
  ["an option that names a file", domain(softnet("<softnet:log-file>/etc/passwd</softnet:log-file>")), /"log-file"/],
  ["an option that names a user", domain(softnet("<softnet:user>root</softnet:user>")), /"user"/],
  ["an option of another namespace", domain(softnet("<block>@private</block>")), /"\{?\}?block"|"block"/],
  [
    "an option in an option",
    domain(softnet("<softnet:block><softnet:user>root</softnet:user></softnet:block>")),
    /"user"/,
  ],
  ["a second line", domain(softnet("<softnet:block>@private\nuser root</softnet:block>")), /line break/],
  [
    "a second line as a character reference",
    domain(softnet("<softnet:block>a&#10;user root</softnet:block>")),
    /line break/,
  ],
  ["two elements", domain(softnet("") + softnet("")), /two softnet:vm/],
  ["a long value", domain(softnet(`<softnet:block>${"a".repeat(5000)}</softnet:block>`)), /4096 characters/],
  ["many options", domain(softnet("<softnet:reject/>".repeat(1025))), /1024 options/],
  ["many cards", domain("", CARD.repeat(65)), /64 interfaces/],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => parseDomain(text),
      (error) => error instanceof UserError && why.test(error.message) && error.message.length < 300,
    );
  });
}

test("whatever bytes stand in it, the reader returns a domain or refuses it", () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(CARD, softnet("<softnet:only>a.example</softnet:only>"), "<", "&", "]]>"),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      try {
        parseDomain(`<domain><name>vm1</name>${pieces.join("")}</domain>`);
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }),
  );
});

test("every card must be one that softnet can be attached to", () => {
  assert.deepEqual(attachableCards(parseDomain(domain())), [{ mac: MAC, target: "vnet0" }]);
  for (const [card, why] of [
    [CARD.replace("bridge", "direct"), /cannot filter type="direct"/],
    [CARD.replace("bridge", "user"), /cannot filter type="user"/],
    [CARD.replace("vnet0", ""), /no interface on the host/],
    [CARD.replace("vnet0", "../x"), /no interface on the host/],
    [CARD.replace("vnet0", "vnet0 #x"), /no interface on the host/],
    [CARD.replace(MAC, "52:54"), /no MAC address/],
    [`<interface/>${CARD}`, /cannot filter type=""/],
  ] as const) {
    const parsed = parseDomain(domain("", card));
    assert.throws(
      () => attachableCards(parsed),
      (error) => error instanceof UserError && why.test(error.message),
    );
  }
});
