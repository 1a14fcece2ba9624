/** Whose code runs at the moment: who is at fault when it throws. */
export const RELAY = 0;
export const VM_PORT = 1;
export const NETWORK_PORT = 2;
export type FaultOrigin = typeof RELAY | typeof VM_PORT | typeof NETWORK_PORT;

/** Set around each call into a port. */
export class FaultTracker {
  origin: FaultOrigin = RELAY;
}
