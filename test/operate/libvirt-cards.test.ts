/** Cards without softnet, from libvirt's notes of running domains; the real libvirt writes them in test/hosts/libvirt-cards.test.ts. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { LARGEST_DOMAIN } from "../../src/operate/domain-xml.ts";
import { type DomainsHost, hiddenDomains, NO_DOMAINS, readDomainsCards } from "../../src/operate/libvirt-cards.ts";
import { temporaryFolder } from "../support/folder.ts";
import { needsRoot } from "../support/tools.ts";

const MAC = "52:54:00:00:00:01";
const ASKS = `<metadata><s:vm xmlns:s="urn:softnet:libvirt:1"/></metadata>`;
const card = (target: string, type = "bridge"): string =>
  `<interface type="${type}"><mac address="${MAC}"/>${target && `<target dev="${target}"/>`}</interface>`;
const state = (name: string, metadata: string, cards: string): string =>
  `<domstatus state="running" pid="7"><monitor path="/x"/><domain type="qemu" id="1"><name>${name}</name>${metadata}<devices>${cards}</devices></domain></domstatus>`;

function host(t: TestContext, files: Readonly<Record<string, string>>, change: Partial<DomainsHost> = {}): DomainsHost {
  const states = temporaryFolder(t);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(states, name), text, { mode: 0o600 });
  return {
    states,
    hasFile: () => false,
    guarded: () => new Set(["vnet0"]),
    bridgeOf: (name) => (name === "vnet1" ? "br0" : undefined),
    ...change,
  };
}

test("a card with no softnet at its interface, in domains that ask by metadata or by a file", needsRoot(), (t) => {
  const files = {
    "asks.xml": state("asks", ASKS, card("vnet0") + card("vnet1") + card("", "user")),
    "file.xml": state("file", "", card("vnet2")),
    "guarded.xml": state("guarded", ASKS, card("vnet0")),
    "other.xml": state("other", "", card("vnet1")),
    "driver.pid": "7",
  };
  const { domains, unguarded, unknown } = readDomainsCards(host(t, files, { hasFile: (name) => name === "file" }));
  assert.deepEqual(unguarded, [
    { domain: "asks", mac: MAC, interface: "vnet1", network: "bridge br0" },
    { domain: "asks", mac: MAC, network: "type user" },
    { domain: "file", mac: MAC, interface: "vnet2", network: "type bridge" },
  ]);
  assert.deepEqual(
    [...domains],
    [
      ["asks", 2],
      ["file", 1],
      ["guarded", 0],
    ],
  );
  assert.deepEqual(unknown, []);
});

test("what cannot be read, or is not root's alone, is not taken for guarded: it is said", needsRoot(), (t) => {
  const good = state("x", ASKS, card("vnet0"));
  const at = host(t, {
    "bad-options.xml": state("x", ASKS.replace("/>", "><s:user>root</s:user></s:vm>"), card("vnet1")),
    "cut-off.xml": good.slice(0, -20),
    "domain.xml": good.replace(/<\/?domstatus[^>]*>/g, ""),
    "long.xml": " ".repeat(LARGEST_DOMAIN + 1),
    "others.xml": good,
    "write\u001b.xml": good,
  });
  chownSync(join(at.states, "others.xml"), 65_534, 0);
  chmodSync(join(at.states, "write\u001b.xml"), 0o622);
  symlinkSync("others.xml", join(at.states, "link.xml"));
  mkdirSync(join(at.states, "folder.xml"));
  const { domains, unguarded, unknown } = readDomainsCards(at);
  assert.deepEqual([domains.size, unguarded.length], [0, 0]);
  const names = ["bad-options", "cut-off", "domain", "folder", "link", "long", "others", "write?"];
  assert.deepEqual(
    unknown.map((line) => /^domain (\S+): it is not known whether softnet guards it: [ -~]+$/.exec(line)?.[1]),
    names,
  );
});

test("no libvirt, and no domain, is nothing; another user than root hears that there are domains", (t) => {
  const at = host(t, {});
  assert.deepEqual(readDomainsCards({ ...at, states: `${at.states}/none` }), NO_DOMAINS);
  assert.deepEqual(readDomainsCards(at), NO_DOMAINS);
  assert.deepEqual(hiddenDomains(at.states), NO_DOMAINS);
  const { unknown } = hiddenDomains(host(t, { "vm1.xml": "" }).states);
  assert.match(unknown.join(), /libvirt's domains \(1 run\).*only root/);
});
