/** Names and descriptions of vmnet_return_t (vmnet.h). */
import {
  VMNET_BUFFER_EXHAUSTED,
  VMNET_FAILURE,
  VMNET_INVALID_ACCESS,
  VMNET_INVALID_ARGUMENT,
  VMNET_MEM_FAILURE,
  VMNET_NOT_AUTHORIZED,
  VMNET_PACKET_TOO_BIG,
  VMNET_SETUP_INCOMPLETE,
  VMNET_SHARING_SERVICE_BUSY,
  VMNET_SUCCESS,
  VMNET_TOO_MANY_PACKETS,
} from "./vmnet.ts";

const DESCRIPTIONS: ReadonlyMap<number, string> = new Map([
  [VMNET_SUCCESS, "VMNET_SUCCESS"],
  [VMNET_FAILURE, "VMNET_FAILURE, a failure that vmnet does not explain"],
  [VMNET_MEM_FAILURE, "VMNET_MEM_FAILURE, no memory"],
  [VMNET_INVALID_ARGUMENT, "VMNET_INVALID_ARGUMENT, an argument that vmnet does not take"],
  [VMNET_SETUP_INCOMPLETE, "VMNET_SETUP_INCOMPLETE, not set up yet"],
  [VMNET_INVALID_ACCESS, "VMNET_INVALID_ACCESS, no permission"],
  [VMNET_PACKET_TOO_BIG, "VMNET_PACKET_TOO_BIG, a frame longer than allowed"],
  [VMNET_BUFFER_EXHAUSTED, "VMNET_BUFFER_EXHAUSTED, the kernel's buffers are full"],
  [VMNET_TOO_MANY_PACKETS, "VMNET_TOO_MANY_PACKETS, more frames at once than allowed"],
  [VMNET_SHARING_SERVICE_BUSY, "VMNET_SHARING_SERVICE_BUSY, another sharing service is active"],
  [VMNET_NOT_AUTHORIZED, "VMNET_NOT_AUTHORIZED, not allowed for this program"],
]);

/** `VMNET_FAILURE, a failure that vmnet does not explain (1001)`. */
export function describeStatus(status: number): string {
  const words = DESCRIPTIONS.get(status);
  return words === undefined ? `vmnet status ${status}` : `${words} (${status})`;
}
