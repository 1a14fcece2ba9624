/** A program: ends with 3 where the two guards differ in one of the first sessions, as many as its argument says. */
import { generateNames } from "./generate.ts";
import { difference } from "./judge.ts";

for (let seed = 1; seed <= Number(process.argv[2]); seed++) {
  const { options, steps } = generateNames(seed);
  if (difference(options, steps) !== undefined) process.exit(3);
}
