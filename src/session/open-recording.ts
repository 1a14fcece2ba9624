/** A session's capture: beside recording.ts, which replay reads without any native library. */
import { CaptureError } from "../capture/errors.ts";
import { LONGEST_STREAM_FRAME } from "../ports/slab.ts";
import type { PrivilegeWalk } from "../privileges/privileges.ts";
import type { Log } from "../telemetry/log.ts";
import { UserError } from "../user-error.ts";
import { version } from "../version.ts";
import type { SessionArguments } from "./options.ts";
import { Recording } from "./recording.ts";

/** Opens the capture that the user asked for; undefined where he asked for none. Throws CaptureError or UserError. */
export function openRecording(
  { capture, captureSize, captureFiles }: SessionArguments,
  clock: () => number,
  log: Log,
  privileges: PrivilegeWalk,
): Recording | undefined {
  if (capture === undefined) return undefined;
  try {
    return new Recording({
      path: capture,
      maximumSize: captureSize,
      files: captureFiles,
      maximumFrame: LONGEST_STREAM_FRAME,
      application: `softnet ${version()}`,
      epoch: Date.now() * 1000 - clock(),
      log,
    });
  } catch (error) {
    if (!(error instanceof CaptureError) || !privileges.dropped) throw error;
    throw new UserError(`${error.message} (softnet writes as ${privileges.describe()})`);
  }
}
