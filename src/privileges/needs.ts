/** What of a command line only root can open, and what is opened before and after the drop. */

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
   * What is opened before the drop: what needs root, and descriptors, whose buffers root may make larger. What the user
   * named with a path, and his own TAP, comes after it, with his rights; those of root itself are root's. Only
   * `--vm-socket` always comes after it, since who makes that file must also be able to remove it.
   */
  readonly first: { readonly vm: boolean; readonly network: boolean; readonly capture: boolean };
}

/** `mayAttach`: whether the caller himself may open this TAP; `isRoot`: whether he is root itself. */
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
