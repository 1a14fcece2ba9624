/**
 * softnet's programs at an interface's two ends: by tcx where the kernel has it (6.6), else by clsact. They stay there when
 * the process ends, so that the interface stays closed, until `unhook`.
 *
 * Who takes over from an ended softnet puts his programs before the former ones and then takes those away: there is no
 * moment without any.
 */
import { programId } from "../native/linux/bpf.ts";
import type { LinuxLibc } from "../native/linux/libc.ts";
import { attachFirst, detach, type Hook, programsAt } from "../native/linux/tcx.ts";
import {
  attachFilter,
  attachSecondFilter,
  filterProgram,
  hasClsact,
  removeEmptyClsact,
  removeFilter,
} from "../native/linux/traffic-control.ts";

export type HookKind = "tcx" | "clsact";

/** What is at an interface: the kernel's ids of the programs. */
export interface Hooked {
  readonly kind: HookKind;
  readonly ingress: number;
  readonly egress: number;
  /** Softnet made the interface's `clsact`: with its last filter it goes, since nothing else can be put in its place. */
  readonly madeClsact?: boolean;
}

/** Loaded programs, as descriptors. */
export interface Programs {
  /** Sees what comes from the VM. */
  readonly ingress: number;
  /** Sees what goes to the VM. */
  readonly egress: number;
}

/** The outgoing one first: a VM that hears nothing sends nothing new. */
const ENDS = ["egress", "ingress"] as const satisfies readonly Hook[];

/** Attaches a program where packets come in from an interface of softnet's own. Throws Error when the kernel refuses. */
export function hookIngress(libc: LinuxLibc, index: number, program: number): HookKind {
  if (attachFirst(libc, index, "ingress", program)) return "tcx";
  attachFilter(libc, index, "ingress", program);
  return "clsact";
}

/**
 * Attaches the lane's program where packets go out to softnet's TAP on the VM's network, behind what keeps VMs apart there
 * (networks/separation.ts). Throws Error when the kernel refuses.
 */
export function hookNetwork(libc: LinuxLibc, index: number, program: number): void {
  attachSecondFilter(libc, index, "egress", program);
}

/** What `hook` will put at an interface where softnet has put the `former` ones. */
export function plan(
  libc: LinuxLibc,
  index: number,
  kind: HookKind,
  { ingress, egress }: Programs,
  former: readonly Hooked[],
): Hooked {
  const hooked = { kind, ingress: programId(libc, ingress), egress: programId(libc, egress) };
  const madeClsact = former.some((each) => each.madeClsact) || (kind === "clsact" && !hasClsact(libc, index));
  return madeClsact ? { ...hooked, madeClsact } : hooked;
}

/** Attaches the programs, each before all others. Throws Error when the kernel refuses. */
export function hook(libc: LinuxLibc, index: number, kind: HookKind, programs: Programs): void {
  for (const end of ENDS) {
    if (kind === "clsact") attachFilter(libc, index, end, programs[end]);
    else if (!attachFirst(libc, index, end, programs[end])) throw new Error("the kernel takes no program here");
  }
}

/** Takes the programs away, those that are still there. Throws Error when the kernel refuses. */
export function unhook(libc: LinuxLibc, index: number, hooked: Hooked): void {
  for (const end of ENDS) {
    if (hooked.kind === "tcx") detach(libc, index, end, hooked[end]);
    else if (filterProgram(libc, index, end) === hooked[end]) removeFilter(libc, index, end);
  }
  if (hooked.madeClsact === true) removeEmptyClsact(libc, index);
}

/**
 * Whether both programs are where they were put, as far as it can be seen without rights: filters of clsact, which others
 * replace together with their own.
 */
export function seemsHooked(libc: LinuxLibc, index: number, hooked: Hooked): boolean {
  return hooked.kind === "tcx" || ENDS.every((end) => filterProgram(libc, index, end) === hooked[end]);
}

/** Which of the ends have programs of others too, by tcx: they run behind softnet's, and see nothing there. */
export function othersAt(libc: LinuxLibc, index: number, hooked: Hooked): readonly Hook[] {
  return ENDS.filter((end) => programsAt(libc, index, end).some((id) => id !== hooked[end]));
}
