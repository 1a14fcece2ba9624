/**
 * A mistake of the user's: one line that names the value and the remedy. The executable prints it and exits with 1; a
 * library's caller sees it thrown. Anything else that is thrown is a fault of softnet's own.
 */
export class UserError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UserError";
  }
}

/** The codes of the library's errors, each for one kind of mistake (docs/library.md, Errors). Only ever added to. */
export const ERROR_CODES = Object.freeze([
  "SOFTNET_ERR_ADDRESS",
  "SOFTNET_ERR_ADDRESS6",
  "SOFTNET_ERR_DHCP_SERVER",
  "SOFTNET_ERR_DHCP_SERVER_MAC_ADDRESS",
  "SOFTNET_ERR_EXPOSED_PORT",
  "SOFTNET_ERR_GATEWAY",
  "SOFTNET_ERR_GATEWAY_MAC_ADDRESS",
  "SOFTNET_ERR_HOSTNAME",
  "SOFTNET_ERR_HOST_ADDRESS6",
  "SOFTNET_ERR_MAC_ADDRESS",
  "SOFTNET_ERR_MTU",
  "SOFTNET_ERR_PREFIX6",
  "SOFTNET_ERR_ROUTER6",
  "SOFTNET_ERR_ROUTER6_MAC_ADDRESS",
  "SOFTNET_ERR_RULE",
  "SOFTNET_ERR_RULE_COUNT",
  "SOFTNET_ERR_SUBNET",
] as const);

export type ErrorCode = (typeof ERROR_CODES)[number];

/** What the library throws for an option or a rule: a line for people, and a stable code for programs. */
export class OptionError extends UserError {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = "OptionError";
    this.code = code;
  }
}
