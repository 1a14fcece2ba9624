/**
 * Runs the tests: all that this machine can, files side by side but for the lab, whose network namespaces and clocks
 * want the machine for themselves. At the end it names each test that was left out with what it misses, and what is to
 * be installed for all of them. With SOFTNET_TEST_ALL=1 nothing is left out: what is missing is a failure.
 *
 * node scripts/test.ts [folder or file …]
 */
import { globSync } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const given = process.argv.slice(2);
const chosen = (given.length > 0 ? given : ["test"])
  .flatMap((path) => (path.endsWith(".ts") ? [path] : globSync(`${path}/**/*.test.ts`)))
  // `npm run test:hosts`, `npm run test:clients`, `npm run test:ipv6` and `npm run test:names`
  .filter((file) => given.length > 0 || !/^test\/(hosts|clients|ipv6|names)\//.test(file))
  .toSorted();
const alone = (file: string): boolean => /^test\/(hosts|clients|ipv6|names|lab|demo|fleet|package)\//.test(file);

const counts = { passed: 0, failed: 0, skipped: 0 };
const leftOut = new Map<string, string[]>();

/** Of a suite: not because one of its tests failed, which is counted already, but because its own code threw. */
function failedByItself(error: Error & { failureType?: string }): boolean {
  return error.failureType !== "subtestsFailed";
}

async function runAll(files: readonly string[], concurrency: number): Promise<void> {
  if (files.length === 0) return;
  const stream = run({ files: [...files], concurrency, execArgv: ["--expose-gc"] });
  stream.on("test:pass", ({ name, skip, details, file }) => {
    if (details.type === "suite" || name === file) return;
    if (skip === undefined || skip === false) counts.passed++;
    else {
      counts.skipped++;
      const why = typeof skip === "string" ? skip : "left out";
      leftOut.set(why, [...(leftOut.get(why) ?? []), name]);
    }
  });
  stream.on("test:fail", ({ details }) => {
    if (details.type !== "suite" || failedByItself(details.error)) counts.failed++;
  });
  stream.compose(spec).pipe(process.stdout, { end: false });
  await new Promise((resolve) => stream.on("end", resolve));
}

await runAll(
  chosen.filter((file) => !alone(file)),
  2,
);
await runAll(chosen.filter(alone), 1);

for (const [why, names] of leftOut) {
  console.log(`\nLeft out, because ${why}:`);
  for (const name of names) console.log(`  ${name}`);
}
const packages = [...leftOut.keys()].flatMap((why) => /: apt-get install (.+)$/.exec(why)?.[1]?.split(" ") ?? []);
if (packages.length > 0) {
  console.log(`\nWhat Debian has of it: apt-get install ${[...new Set(packages)].toSorted().join(" ")}`);
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1;
