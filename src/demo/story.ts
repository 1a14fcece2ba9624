/** The words around the findings: what is about to happen, and the table of what did. */
import { type Half, type Result, styleOf } from "./half.ts";
import { BANK_NAME, GATEWAY, INTERNET, NEIGHBOUR } from "./plan.ts";
import type { Screen } from "./screen.ts";

export function tellIntroduction(screen: Screen): void {
  screen.line(screen.style("bold", "softnet demo: two guests, one network, one of them hostile"));
  screen.line();
  screen.line(`   Alice and Mallory are guests of one machine, each a network namespace with the kernel's own
   TCP/IP behind its network card. Both cards end at the same bridge. Alice wants to work;
   Mallory attacks. First nothing stands between them, then each card has a softnet in front.

        Alice            Mallory          neighbour
          |                 |            ${NEIGHBOUR}
      [softnet]         [softnet]             |        softnet: in the second half only
          |                 |                 |
      ====+=================+===== bridge ====+====
                            |
              gateway ${GATEWAY}: DHCP and DNS
                            |
             "Internet": ${BANK_NAME}, ${INTERNET}

   All of it lives in namespaces made for this demo. Nothing else on this machine is touched,
   and that Internet leads nowhere.`);
  screen.line();
}

export function tellHeading(screen: Screen, text: string): void {
  screen.line(screen.style("bold", text));
}

const TITLE_WIDTH = 32;
const BARE_WIDTH = 17;

/** Prints the table; answers how many of its lines are not as they should be. */
export function tellTable(screen: Screen, bare: Half, guarded: Half): number {
  let wrong = 0;
  const section = (heading: string, left: readonly Result[], right: readonly Result[]) => {
    screen.line(`   ${screen.style("dim", heading)}`);
    left.forEach((before, index) => {
      const after = right[index]!;
      const asItShouldBe = before.asItShouldBe && after.asItShouldBe;
      if (!asItShouldBe) wrong++;
      const drops = after.drops.map(([reason, count]) => `${reason} (${count})`).join(", ");
      const cells = [
        before.title.padEnd(TITLE_WIDTH),
        screen.cell(before.word, BARE_WIDTH, styleOf(before.word)),
        screen.cell(after.word, 0, styleOf(after.word)),
        drops && `  ${drops}`,
        asItShouldBe ? "" : screen.style("yellow", "  <- not as it should be"),
      ];
      screen.line(`   ${cells.join("")}`);
    });
  };
  const columns = `${"".padEnd(TITLE_WIDTH)}${"without softnet".padEnd(BARE_WIDTH)}behind softnet, and why frames were dropped`;
  screen.line(`   ${screen.style("bold", columns)}`);
  section("Mallory's attacks", bare.attacks, guarded.attacks);
  section("Alice's network", bare.services, guarded.services);
  section("Alice's network in the flood", bare.duringFlood, guarded.duringFlood);
  screen.line();
  const rate = guarded.floodRate.toLocaleString("en");
  const dropped = guarded.floodDropped.toLocaleString("en");
  screen.line(`   In that flood of ${rate} frames a second softnet dropped ${dropped} frames.`);
  screen.line();
  return wrong;
}
