import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { networksOf, readHostState, uplinkOf } from "../../src/host/host-state.ts";
import { listAddresses, listRoutes } from "../../src/native/linux/host-network.ts";
import { formatCidr } from "../../src/policy/rule.ts";
import { formatIPv4, parseIPv4 } from "../../src/wire/address.ts";
import { enterFreshNamespace } from "../support/namespace.ts";
import { libc } from "../support/sockets.ts";
import { needs, needsRoot, run } from "../support/tools.ts";

const link = "eth0";

test("an address brings its network, a peer address both", () => {
  const address = (own: string, peer: string, prefixLength: number) =>
    networksOf([{ link, address: parseIPv4(own)!, peer: parseIPv4(peer)!, prefixLength }]).map(formatCidr);
  assert.deepEqual(address("192.168.1.7", "192.168.1.7", 24), ["192.168.1.0/24"]);
  assert.deepEqual(address("10.8.0.6", "10.8.0.5", 32), ["10.8.0.6/32", "10.8.0.5/32"]);
  assert.deepEqual(address("10.8.0.6", "10.9.0.5", 24), ["10.8.0.6/32", "10.9.0.0/24"]);
});

test("a host's addresses and routes are those that ip lists", { ...needsRoot(), ...needs("ip") }, () => {
  const leave = enterFreshNamespace();
  try {
    run("ip", "link", "set", "lo", "up");
    run("ip", "link", "add", "d0", "type", "veth", "peer", "name", "e0");
    run("ip", "link", "add", "d1", "type", "veth", "peer", "name", "e1");
    assert.equal(uplinkOf(libc), "");
    run("ip", "address", "add", "192.0.2.1/24", "dev", "d0");
    run("ip", "address", "add", "10.8.0.6", "peer", "10.8.0.5/32", "dev", "d1");
    run("ip", "-6", "address", "add", "2001:db8::1/64", "dev", "d1", "nodad");
    for (const name of ["d0", "e0", "d1", "e1"]) run("ip", "link", "set", name, "up");
    run("ip", "route", "add", "default", "via", "10.8.0.5", "dev", "d1", "metric", "200");
    run("ip", "route", "add", "default", "via", "192.0.2.254", "table", "77");
    run("ip", "route", "add", "default", "via", "192.0.2.254", "metric", "100");
    run("ip", "route", "add", "10.0.0.0/8", "dev", "d1", "table", "500");
    run("ip", "route", "add", "unreachable", "172.16.0.0/12");
    run("ip", "route", "add", "198.51.100.7", "nexthop", "via", "10.8.0.5", "nexthop", "via", "192.0.2.254");
    const many = Array.from(
      { length: 250 },
      (_, host) => `route add 203.0.113.${host} dev d0 metric ${host}
`,
    );
    spawnSync("ip", ["-batch", "-"], { input: many.join("") }); // more than one part of a list

    type Route = { readonly dst: string; readonly dev?: string };
    const byIp: readonly Route[] = JSON.parse(run("ip", "-json", "-4", "route", "show", "table", "all"));
    const routes = listRoutes(libc);
    assert.deepEqual(
      routes.map((route) => `${formatIPv4(route.destination)}/${route.prefixLength} ${route.link}`),
      byIp.map(({ dst, dev = "" }) => {
        const prefix = dst === "default" ? "0.0.0.0/0" : dst.includes("/") ? dst : `${dst}/32`;
        return `${prefix} ${dev}`;
      }),
    );
    assert.deepEqual(
      listAddresses(libc).map((each) => [
        each.link,
        formatIPv4(each.address),
        formatIPv4(each.peer),
        each.prefixLength,
      ]),
      [
        ["lo", "127.0.0.1", "127.0.0.1", 8],
        ["d0", "192.0.2.1", "192.0.2.1", 24],
        ["d1", "10.8.0.6", "10.8.0.5", 32],
      ],
    );
    assert.equal(uplinkOf(libc), "d0", "the default route with the lowest metric of the table main");
    const { networks, routes: left } = readHostState(libc, (name) => name !== "d1");
    assert.deepEqual(networks.map(formatCidr), ["10.8.0.6/32", "10.8.0.5/32"]);
    assert.ok(left.map(formatCidr).includes("10.0.0.0/8"), "a route of another table");
  } finally {
    leave();
  }
});
