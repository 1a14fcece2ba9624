/** What is at an interface's ends: programs-at.ts LINK prints how many programs, and whether by tcx or by clsact's filters. */
import { loadLibc } from "../../../src/native/linux/libc.ts";
import { programsAt } from "../../../src/native/linux/tcx.ts";
import { filterProgram } from "../../../src/native/linux/traffic-control.ts";

const ENDS = ["ingress", "egress"] as const;
const libc = loadLibc();
const index = libc.if_nametoindex(process.argv[2]!);
const tcx = ENDS.flatMap((end) => programsAt(libc, index, end)).length;
const clsact = ENDS.filter((end) => filterProgram(libc, index, end) !== undefined).length;
process.stdout.write(`tcx ${tcx} clsact ${clsact}\n`);
