/** Which options of a command line need root, and what is opened before the drop and after it. */

export interface Sides {
  readonly vmFd?: number;
  readonly vmTap?: string;
  readonly vmSocket?: string;
  /** The interface to attach to. */
  readonly attach?: string;
  readonly bridge?: string;
  readonly hostFd?: number;
  readonly hostSocket?: string;
  readonly vmNetType?: string;
}

export interface Needs {
  /** The TAP that root must make or open. */
  readonly tap: string | undefined;
  /** The interface that root must attach to. */
  readonly attach: string | undefined;
  /** Whether root must set the network up. */
  readonly network: boolean;
  /**
   * What is opened before the drop: what needs root, and descriptors, whose buffers root may make larger. Paths, and
   * TAPs that the user may open, are opened after the drop with the user's rights; but root's own paths are opened with
   * root's. `--vm-socket` is always opened after the drop, since softnet must be able to remove that file at the end.
   */
  readonly first: { readonly vm: boolean; readonly network: boolean; readonly capture: boolean };
}

/** `mayAttach`: whether the caller may open this TAP without softnet; `isRoot`: whether the caller is root itself. */
export function findNeeds(sides: Sides, mayAttach: (tap: string) => boolean, isRoot: boolean): Needs {
  const { vmFd, vmTap, vmSocket, attach, bridge, hostFd, hostSocket, vmNetType } = sides;
  const count = (...options: unknown[]): number => options.filter((option) => option !== undefined).length;
  // A contradiction is refused where the sides are opened, and that is no reason to be root.
  const sensible = count(vmFd, vmTap, vmSocket, attach) === 1 && count(bridge, hostFd, hostSocket, vmNetType) <= 1;
  const tap = sensible && vmTap !== undefined && !mayAttach(vmTap) ? vmTap : undefined;
  const network = sensible && hostFd === undefined && hostSocket === undefined;
  return {
    tap,
    attach: sensible ? attach : undefined,
    network,
    first: {
      vm: tap !== undefined || vmFd !== undefined || (sensible && attach !== undefined),
      network: network || hostFd !== undefined || (isRoot && hostSocket !== undefined),
      capture: isRoot,
    },
  };
}
