/** As mutants.test.ts, of what the programs do with IPv6: support/mutants-6.ts. */
import { WITH_IPV6 } from "../../scripts/bytecode.ts";
import { createGuard } from "../../src/guard/guard.ts";
import { BOTH_LANE } from "../../src/lane/relay-tap.ts";
import { OWN, udp6 } from "../guard/ipv6/support.ts";
import { VM } from "../guard/support.ts";
import { generateLaneSession6 } from "./support/generate-6.ts";
import { openLane, suiteOfMutants } from "./support/mutant-suite.ts";
import { MUTANTS_6 } from "./support/mutants-6.ts";

suiteOfMutants({
  name: "the express lane's checks of IPv6, each taken out",
  code: BOTH_LANE,
  defines: [WITH_IPV6],
  mutants: MUTANTS_6,
  frames: 60_000,
  generate: generateLaneSession6,
  flow: (kernel) => [
    createGuard({ macAddress: VM, ipv6: true, address6: OWN, allow: ["::/0"] }, openLane(kernel)),
    udp6(40_000, 443, new Uint8Array(4)),
  ],
  flows: (kernel) => kernel.flows6,
  words: 12,
});
