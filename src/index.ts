/** The library: the guard and the capture reader, for programs that move frames themselves. */
export {
  type CapturedFrame,
  CaptureError,
  type CaptureErrorCode,
  type CaptureReader,
  captureOf,
  openCapture,
} from "./capture/index.ts";
export type { BindingMessage, VerdictMessage } from "./guard/diagnostics.ts";
export { createGuard, type Guard } from "./guard/guard.ts";
export { DROP_REASONS, type DropReason } from "./guard/reasons.ts";
export type {
  Acknowledged,
  Binding,
  BindingChange,
  BindingEnd,
  BindingOrigin,
  BoundAddress,
  BoundIPv4Address,
  BoundIPv6Address,
  Explanation,
  GuardOptions,
  IPv6Lease,
  NameCount,
  NameEvent,
  NameExplanation,
  NamePair,
  NameQuestion,
  PolicyQuestion,
  RestoredAddress,
  RestoredBinding,
  Verdict,
} from "./guard/types.ts";
export { parsePolicyRules } from "./policy/only.ts";
export { formatRule, parseRules, type Rule } from "./policy/rule.ts";
export { ERROR_CODES, type ErrorCode, OptionError, UserError } from "./user-error.ts";
export { FrameView } from "./wire/frame-view.ts";
