/** What went wrong with vmnet, by its own name, with what the user can do about it. */
import {
  VMNET_FAILURE,
  VMNET_INVALID_ACCESS,
  VMNET_INVALID_ARGUMENT,
  VMNET_MEM_FAILURE,
  VMNET_NOT_AUTHORIZED,
  VMNET_SETUP_INCOMPLETE,
  VMNET_SHARING_SERVICE_BUSY,
} from "../../native/darwin/vmnet.ts";
import { describeStatus } from "../../native/darwin/vmnet-status.ts";
import { UserError } from "../../user-error.ts";

/** The log of the service that does vmnet's work. */
const LOOK = `look at "log show --last 5m --predicate 'process == \\"InternetSharing\\"'"`;

const RIGHTS =
  "run softnet as root: set its SUID bit, or allow it in sudoers; on macOS 26 --vm-net-type private needs only the executable signed with com.apple.security.virtualization";

const REMEDIES: ReadonlyMap<number, string> = new Map([
  [VMNET_FAILURE, `without root's rights vmnet answers so: ${RIGHTS}; with them ${LOOK}`],
  [VMNET_MEM_FAILURE, `without root's rights vmnet may answer so: ${RIGHTS}; else the system is out of memory`],
  [VMNET_INVALID_ARGUMENT, "vmnet refuses the network's settings: leave --subnet and --mtu out"],
  [VMNET_SETUP_INCOMPLETE, `the sharing service is not ready: start the VM again, or ${LOOK}`],
  [VMNET_INVALID_ACCESS, RIGHTS],
  [
    VMNET_SHARING_SERVICE_BUSY,
    "turn Internet Sharing off (System Settings, General, Sharing), or end the program that shares, and start the VM again",
  ],
  [VMNET_NOT_AUTHORIZED, RIGHTS],
]);

/** vmnet refused something that a network needs. One line for the user. */
export class VmnetError extends UserError {
  /** vmnet_return_t */
  readonly status: number;

  /** `what` could not be done. */
  constructor(what: string, status: number) {
    super(`${what}: ${describeStatus(status)}; ${REMEDIES.get(status) ?? LOOK}`);
    this.name = "VmnetError";
    this.status = status;
  }

  /** Whether it is, or may be, for want of rights. */
  get mayWantRights(): boolean {
    return (
      this.status === VMNET_FAILURE ||
      this.status === VMNET_MEM_FAILURE ||
      this.status === VMNET_INVALID_ACCESS ||
      this.status === VMNET_NOT_AUTHORIZED
    );
  }
}
