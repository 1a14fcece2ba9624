import assert from "node:assert/strict";
import { test } from "node:test";
import { networksOf, routesOf } from "../../src/host/host-state.ts";
import { formatCidr } from "../../src/policy/rule.ts";

test("an address brings its network, a peer address both", () => {
  const networks = networksOf([
    { addr_info: [{ local: "192.168.1.7", prefixlen: 24 }] },
    { addr_info: [{ local: "10.8.0.6", address: "10.8.0.5", prefixlen: 32 }] },
    {},
  ]);
  assert.deepEqual(networks.map(formatCidr), ["192.168.1.0/24", "10.8.0.6/32", "10.8.0.5/32"]);
});

test("routes: default, host and network", () => {
  const routes = routesOf([{ dst: "default" }, { dst: "10.1.2.3" }, { dst: "10.0.0.0/8" }, { dst: "multicast" }]);
  assert.deepEqual(routes.map(formatCidr), ["0.0.0.0/0", "10.1.2.3/32", "10.0.0.0/8"]);
});
