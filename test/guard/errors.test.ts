/** The errors of the library: each has a stable code, is documented, and speaks of what was given, not of a command line. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  createGuard,
  ERROR_CODES,
  type ErrorCode,
  type GuardOptions,
  OptionError,
  parseRules,
  UserError,
} from "../../src/index.ts";
import { MOST_RULES } from "../../src/policy/rule.ts";

const macAddress = "7e:1a:00:00:00:01";
const guardWith = (options: Partial<GuardOptions>) => () => createGuard({ macAddress, ...options });
const many = (count: number): string[] => new Array(count).fill("10.0.0.0/8");

/** For each code what is thrown with it, and what the message names. */
const MISTAKES: Readonly<Record<ErrorCode, readonly (readonly [mistake: () => unknown, named: string])[]>> = {
  SOFTNET_ERR_ADDRESS: [[guardWith({ address: "10.0.0.256" }), "10.0.0.256"]],
  SOFTNET_ERR_ADDRESS6: [
    [guardWith({ address6: "fe80::5" }), "fe80::5"],
    [guardWith({ address6: "ff02::1" }), "ff02::1"],
  ],
  SOFTNET_ERR_DHCP_SERVER: [[guardWith({ dhcpServer: "0.0.0.0" }), "0.0.0.0"]],
  SOFTNET_ERR_DHCP_SERVER_MAC_ADDRESS: [
    [guardWith({ dhcpServerMacAddress: "ff:ff:ff:ff:ff:ff" }), "ff:ff:ff:ff:ff:ff"],
  ],
  SOFTNET_ERR_EXPOSED_PORT: [[guardWith({ exposedPorts: [22, 65_536] }), "65536"]],
  SOFTNET_ERR_GATEWAY: [[guardWith({ gateway: "router" }), "router"]],
  SOFTNET_ERR_GATEWAY_MAC_ADDRESS: [[guardWith({ gatewayMacAddress: "01:00:5e:00:00:01" }), "01:00:5e:00:00:01"]],
  SOFTNET_ERR_HOSTNAME: [[guardWith({ hostname: "web 1" }), "web 1"]],
  SOFTNET_ERR_HOST_ADDRESS6: [[guardWith({ hostAddresses6: ["2001:db8::1", "::1"] }), "::1"]],
  SOFTNET_ERR_MAC_ADDRESS: [
    [() => createGuard({ macAddress: "nonsense" }), "nonsense"],
    [() => createGuard({ macAddress: "01:00:00:00:00:01" }), "01:00:00:00:00:01"],
  ],
  SOFTNET_ERR_MTU: [[guardWith({ mtu: 67 }), "67"]],
  SOFTNET_ERR_PREFIX6: [[guardWith({ prefix6: "2001:db8::/48" }), "2001:db8::/48"]],
  SOFTNET_ERR_ROUTER6: [[guardWith({ router6: "2001:db8::1" }), "2001:db8::1"]],
  SOFTNET_ERR_ROUTER6_MAC_ADDRESS: [[guardWith({ router6MacAddress: "33:33:00:00:00:01" }), "33:33:00:00:00:01"]],
  SOFTNET_ERR_RULE: [
    [() => parseRules([], ["10.0.0.1"]), "10.0.0.1/32"],
    [guardWith({ allow: ["10.0.0.0/8:0"] }), "10.0.0.0/8:0"],
  ],
  SOFTNET_ERR_RULE_COUNT: [
    [() => parseRules(many(MOST_RULES), many(1)), "4097"],
    [guardWith({ allow: many(1), rules: parseRules(many(MOST_RULES), []) }), "4097"],
    [
      () => createGuard({ macAddress }).setRules([...parseRules(many(MOST_RULES), []), ...parseRules([], many(2))]),
      "4098",
    ],
  ],
  SOFTNET_ERR_SUBNET: [[guardWith({ subnet: "10.0.0.0" }), "10.0.0.0"]],
};

for (const [code, mistakes] of Object.entries(MISTAKES)) {
  test(`${code} is thrown, in one line that names the value and no option of the command`, () => {
    for (const [mistake, named] of mistakes) {
      assert.throws(mistake, (error) => {
        assert.ok(error instanceof OptionError && error instanceof UserError);
        assert.equal(error.code, code);
        assert.ok(error.message.includes(named), error.message);
        assert.doesNotMatch(error.message, /\n|--/);
        return true;
      });
    }
  });
}

test("the list of codes is closed and sorted, and docs/library.md has each of them", () => {
  assert.deepEqual(Object.keys(MISTAKES).toSorted(), ERROR_CODES);
  assert.ok(Object.isFrozen(ERROR_CODES));
  const page = readFileSync(fileURLToPath(new URL("../../docs/library.md", import.meta.url)), "utf8");
  const documented = [...page.matchAll(/^\| `(SOFTNET_ERR_[A-Z_0-9]+)` \|/gm)].map((match) => match[1]);
  assert.deepEqual(documented, [...ERROR_CODES]);
});

test("rules that are too many change nothing", () => {
  const guard = createGuard({ macAddress, block: ["@host"], rules: parseRules(["10.0.0.0/8"], []) });
  assert.equal(guard.rules.length, 2);
  assert.throws(() => guard.setRules(new Array(MOST_RULES + 1).fill(guard.rules[0])), OptionError);
  assert.equal(guard.rules.length, 2);
});
