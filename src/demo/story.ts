/** The demo's texts: the introduction, headings, and the final table. */
import { LIST, type NamesPart } from "./names/part.ts";
import { type Part, type Result, styleOf } from "./part.ts";
import { BANK_NAME, GATEWAY, INTERNET, NEIGHBOUR, PASTE_NAME } from "./plan.ts";
import type { Screen } from "./screen.ts";

/** `ipv6`: whether attacks by IPv6 are shown. */
export function printIntroduction(screen: Screen, ipv6: boolean): void {
  screen.line(screen.style("bold", "softnet demo: two guests, one network, one of them hostile"));
  screen.line();
  screen.line(`   Alice and Mallory are guests of one machine, each a network namespace with the kernel's own
   TCP/IP behind its network card. Both cards end at the same bridge. Alice wants to work;
   Mallory attacks. First nothing stands between them, then each card has a softnet in front.

        Alice            Mallory          neighbour
          |                 |            ${NEIGHBOUR}
      [softnet]         [softnet]             |        softnet: in the second part only
          |                 |                 |
      ====+=================+===== bridge ====+====
                            |
              gateway ${GATEWAY}: DHCP and DNS${ipv6 ? ", IPv6 router" : ""}
                            |
             "Internet": ${BANK_NAME}, ${INTERNET}

   All of it lives in namespaces made for this demo. Nothing else on this machine is touched,
   and that Internet leads nowhere.`);
  screen.line();
}

export function printHeading(screen: Screen, text: string): void {
  screen.line(screen.style("bold", text));
}

const TITLE_WIDTH = 30;
/** The parts as columns, with their widths. */
const COLUMNS = [
  ["without softnet", 17],
  ["behind softnet", 16],
  ["through NAT", 13],
] as const;

/** The same of the part about names. */
const NAMES_COLUMNS = [
  ["without a list", 17],
  ["with --only", 16],
] as const;

type Columns = readonly (readonly [head: string, width: number])[];
/** One line: a result for each column, undefined where it was not tried. */
type Line = readonly (Result | undefined)[];

/** Prints the table, a column for each part; returns how many of its lines are not as they should be. */
export function printTable(screen: Screen, parts: readonly Part[]): number {
  const columns = COLUMNS.slice(0, parts.length);
  let wrong = 0;
  const section = (heading: string, resultsOf: (part: Part) => readonly Result[]) => {
    const lines = resultsOf(parts[0]!).map(({ title }) =>
      parts.map((part) => resultsOf(part).find((result) => result.title === title)),
    );
    wrong += printSection(screen, columns, heading, lines);
  };
  printHead(screen, columns);
  section("Mallory's attacks", ({ attacks }) => attacks);
  section("Alice's network", ({ services }) => services);
  section("Alice's network in the flood", ({ flood }) => flood.services);
  screen.line();
  const { flood } = parts[1]!;
  const rate = flood.rate.toLocaleString("en");
  const dropped = flood.dropped.toLocaleString("en");
  screen.line(`   In that flood of ${rate} frames a second softnet dropped ${dropped} frames.`);
  screen.line();
  return wrong;
}

/** The table of the part about names; returns as `printTable` does. */
export function printNamesTable(screen: Screen, { job, attempts }: NamesPart): number {
  printHead(screen, NAMES_COLUMNS);
  const wrong =
    printSection(screen, NAMES_COLUMNS, "What the job is for", job) +
    printSection(screen, NAMES_COLUMNS, "What else it tries", attempts);
  screen.line();
  return wrong;
}

function printHead(screen: Screen, columns: Columns): void {
  const heads = columns.map(([head, width]) => head.padEnd(width)).join("");
  screen.line(`   ${screen.style("bold", `${"".padEnd(TITLE_WIDTH)}${heads}why frames were dropped`)}`);
}

function printSection(screen: Screen, columns: Columns, heading: string, lines: readonly Line[]): number {
  let wrong = 0;
  screen.line(`   ${screen.style("dim", heading)}`);
  for (const results of lines) {
    const asItShouldBe = results.every((result) => result?.asItShouldBe ?? true);
    if (!asItShouldBe) wrong++;
    const cells = [
      (results[0]?.title ?? "").padEnd(TITLE_WIDTH),
      ...columns.map(([, width], index) => cell(screen, results[index], width)),
      dropsText(results),
      asItShouldBe ? "" : screen.style("yellow", "  <- not as it should be"),
    ];
    screen.line(`   ${cells.join("")}`.trimEnd());
  }
  return wrong;
}

/** Empty where it was not tried. */
function cell(screen: Screen, result: Result | undefined, width: number): string {
  return result === undefined ? "".padEnd(width) : screen.cell(result.word, width, styleOf(result.word));
}

/** The reasons of all parts together. */
function dropsText(results: readonly (Result | undefined)[]): string {
  const counts = new Map<string, number>();
  for (const [reason, count] of results.flatMap((result) => result?.drops ?? [])) {
    counts.set(reason, (counts.get(reason) ?? 0) + count);
  }
  return [...counts].map(([reason, count]) => `${reason} (${count})`).join(", ");
}

/** Where the attacks by IPv6 are left out. */
export function printNoIPv6(screen: Screen, why: string): void {
  screen.line(`${screen.style("bold", "IPv6")}: not shown, since ${why}`);
  screen.line();
}

/** Before the part behind NAT. */
export function printNat(screen: Screen): void {
  screen.line(`   No bridge for the guests now: each is alone with the host on a private network of two addresses,
   which softnet made, with a DHCP server of softnet's own; the host's nftables lead out of it.`);
}

/** Instead of it. */
export function printNoNat(screen: Screen, why: string): void {
  screen.line(`${screen.style("bold", "3. Through NAT")}: not shown, since ${why}`);
}

/** Before the part about names. */
export function printNames(screen: Screen): void {
  screen.line(`   On the bridge again. Both guests run a job that downloads a package and has hostile code in it,
   which sends a secret to ${PASTE_NAME}: a customer of the same servers, at the same addresses. Alice's
   softnet is as before, Mallory's has --only ${LIST}, and nothing is installed in her.`);
}
