/** The child of drop.ts: gives root's rights up as softnet does, tries to get them back, and tells what it has then. */
import { loadDarwinLibc } from "../../src/native/darwin/libc.ts";
import { processIds } from "../../src/privileges/caller.ts";
import { dropTo } from "../../src/privileges/darwin.ts";

const [library, uid, gid] = process.argv.slice(2);
process.setgroups!([0, 1, 12]); // something to lose: wheel, daemon, everyone
dropTo(loadDarwinLibc(library), { uid: Number(uid), gid: Number(gid) });
const waysBack: Readonly<Record<string, () => void>> = {
  "setuid(0)": () => process.setuid!(0),
  "seteuid(0)": () => process.seteuid!(0),
  "setgid(0)": () => process.setgid!(0),
  "setegid(0)": () => process.setegid!(0),
  "setgroups(0)": () => process.setgroups!([0]),
};
const possible = Object.entries(waysBack).filter(([, call]) => {
  try {
    call();
    return true;
  } catch {
    return false;
  }
});
const report = { ...processIds(), groups: process.getgroups!(), possible: possible.map(([name]) => name) };
process.stdout.write(`${JSON.stringify(report)}\n`);
