/** Which way a frame goes: a number, because it indexes counters on the hot path. */

/** From the VM to the network. */
export const EGRESS = 0;
/** From the network to the VM. */
export const INGRESS = 1;

export type Direction = typeof EGRESS | typeof INGRESS;

/** A direction's name for people and programs. */
export type DirectionName = "egress" | "ingress";

/** The directions' names in logs and captures. */
export const DIRECTION_NAMES: readonly [DirectionName, DirectionName] = ["egress", "ingress"];
