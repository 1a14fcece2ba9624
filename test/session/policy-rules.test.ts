/** The rules of options and file together, with IPv6 and without. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { formatRule, parseRule } from "../../src/policy/rule.ts";
import { guardOptions } from "../../src/session/options.ts";
import { rulesOf } from "../../src/session/policy-rules.ts";
import { UserError } from "../../src/user-error.ts";

test("a rule for IPv6 in an option or in the file is refused while IPv6 is off, and taken while it is on", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "softnet-rules-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const policy = join(folder, "policy");
  writeFileSync(policy, "allow 10.0.0.0/8\nblock in [2001:db8::1/32]:22 # no login\n");
  const refused = (error: Error) =>
    error instanceof UserError && /^block in \[2001:db8::\/32\]:22 is a rule for IPv6.*--ipv6/.test(error.message);
  assert.throws(() => rulesOf({ policy }), refused);
  assert.throws(() => rulesOf({ block: [parseRule("block", "in [2001:db8::/32]:22")] }), refused);
  const rules = rulesOf({ policy, allow: [parseRule("allow", "::/0")], ipv6: true });
  assert.deepEqual(rules.map(formatRule), ["::/0", "10.0.0.0/8", "in [2001:db8::/32]:22"]);
});

test("the guard is told of IPv6 only where it is on", () => {
  const given = { vmMacAddress: "7e:1a:00:00:00:01" };
  assert.deepEqual(guardOptions(given, []), { macAddress: "7e:1a:00:00:00:01", rules: [] });
  assert.equal(guardOptions({ ...given, ipv6: true }, []).ipv6, true);
});
