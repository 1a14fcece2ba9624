/** What softnet changes on interfaces, as iproute2 sees it afterwards. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { changeLinks } from "../../src/native/linux/link-changes.ts";
import { Links } from "../../src/native/linux/links.ts";
import { parseIPv4 } from "../../src/wire/address.ts";
import { enterFreshNamespace, ip } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsRoot } from "../support/tools.ts";

const skip = { ...needsRoot(), ...needs("ip") };

let leave = (): void => {};
before(() => {
  if (skip.skip !== undefined) return;
  leave = enterFreshNamespace();
  ip("link", "add", "card", "type", "veth", "peer", "name", "peer");
  ip("link", "add", "br0", "type", "bridge");
});
after(() => leave());

const detail = (...words: string[]) => JSON.parse(ip("-d", "-j", ...words, "show", "dev", "card"))[0];
const indexOf = (name: string): number => libc.if_nametoindex(name);

test("MTU, IPv6 address generation, bridge, isolation, up", skip, () => {
  const index = indexOf("card");
  changeLinks(libc, (links) => {
    links.withoutIPv6Address(index);
    links.setMtu(index, 1400);
    links.setMaster(index, indexOf("br0"));
    links.setIsolated(index, true);
    links.up(index);
  });
  const link = detail("link");
  assert.equal(link.mtu, 1400);
  assert.equal(link.master, "br0");
  assert.equal(link.inet6_addr_gen_mode ?? "none", "none");
  assert.equal(link.linkinfo.info_slave_data.isolated, true);
  assert.ok(link.flags.includes("UP"));
  changeLinks(libc, (links) => links.setIsolated(index, false));
  assert.equal(detail("link").linkinfo.info_slave_data.isolated, false);
  assert.ok(detail("link").flags.includes("UP"));
  const links = new Links(libc);
  assert.equal(links.byIndex(index)?.master, indexOf("br0"));
  links.close();
});

test("an address, once", skip, () => {
  const index = indexOf("card");
  const address = parseIPv4("10.99.0.5")!;
  changeLinks(libc, (links) => links.addAddress(index, address, 30));
  const [{ local, prefixlen, family }] = detail("-4", "address").addr_info;
  assert.deepEqual([local, prefixlen, family], ["10.99.0.5", 30, "inet"]);
  assert.throws(() => changeLinks(libc, (links) => links.addAddress(index, address, 30)), /EEXIST/);
});

test("what the kernel refuses is an error with its reason", skip, () => {
  assert.throws(() => changeLinks(libc, (links) => links.up(2 ** 30)), /ENODEV/);
  assert.throws(() => changeLinks(libc, (links) => links.setMtu(indexOf("card"), 1)), /EINVAL|ERANGE/);
});
