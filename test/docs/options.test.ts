/** docs/options.md explains every option that --help prints, and no other. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { softnet } from "../support/cli.ts";

const page = readFileSync(new URL("../../docs/options.md", import.meta.url), "utf8");
/** The page's sections, by the command in their heading. */
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => [/^softnet ?([a-z]*)/.exec(section)![1]!, section] as const),
);

const optionsIn = (text: string): string[] =>
  [...new Set([...text.matchAll(/--[a-z][a-z-]+/g)].map(([option]) => option))].toSorted();

test("attach has the options of softnet itself and its own; detach has none", () => {
  const all = optionsIn(softnet(["--help"]).stdout);
  const more = optionsIn(softnet(["attach", "--help"]).stdout)
    .filter((option) => !all.includes(option))
    .toSorted();
  assert.deepEqual(more, ["--no-express-lane", "--open-on-exit"]);
  assert.deepEqual(optionsIn(sections.get("attach")!), more);
  assert.deepEqual(optionsIn(softnet(["detach", "--help"]).stdout), ["--help"]);
});

for (const command of ["", "replay", "ctl", "list", "top", "metrics", "demo"]) {
  test(`softnet ${command}`.trimEnd(), () => {
    const { stdout } = softnet(command === "" ? ["--help"] : [command, "--help"]);
    // Options begin a line; what else is said there may name others.
    const printed = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z][a-z-]+)/gm)].map((match) => match[1]!);
    const common = ["--help", "--version"];
    assert.deepEqual(
      optionsIn(sections.get(command)!).filter((option) => command === "" || !common.includes(option)),
      printed.filter((option) => command === "" || !common.includes(option)).toSorted(),
    );
  });
}

test("softnet fleet: the page has the options of each of its commands", () => {
  const commands = ["agent", "init", "list", "status", "explain", "get", "set", "watch"];
  const printed = commands.flatMap((command) => optionsIn(softnet(["fleet", command, "--help"]).stdout));
  const known = [...new Set(printed)].filter((option) => option !== "--help").toSorted();
  assert.deepEqual(optionsIn(sections.get("fleet")!), known);
});
