/** Takes all programs away from an interface, as root may: take-programs.ts LINK. Prints "taken". */
import { loadLibc } from "../../../src/native/linux/libc.ts";
import { detach, type Hook, programsAt } from "../../../src/native/linux/tcx.ts";

const libc = loadLibc();
const index = libc.if_nametoindex(process.argv[2]!);
for (const hook of ["ingress", "egress"] satisfies Hook[]) {
  for (const id of programsAt(libc, index, hook)) detach(libc, index, hook, id);
}
process.stdout.write("taken\n");
