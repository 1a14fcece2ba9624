/**
 * Which features of this Darwin kernel work. The release (`uname -r`, os.release()) determines the macOS version:
 * Darwin 23 is macOS 14, 24 is 15, 25 is 26.
 */

export interface DarwinFeatures {
  /** sendmsg_x, from macOS 14 on; earlier its limits were different. */
  readonly sendsBatches: boolean;
  /** recvmsg_x, from Darwin 24.6 (macOS 15.6) on; earlier it could leave a socket locked for ever. */
  readonly receivesBatches: boolean;
}

/** The features of a release such as `24.6.0`; none if it cannot be parsed. */
export function darwinFeatures(release: string): DarwinFeatures {
  const match = /^(\d+)\.(\d+)/.exec(release);
  const [major, minor] = match ? [Number(match[1]), Number(match[2])] : [0, 0];
  return { sendsBatches: major >= 23, receivesBatches: major > 24 || (major === 24 && minor >= 6) };
}

/** The release's product name: `macOS 15.6` for 24.6.0. */
export function systemName(release: string): string {
  const match = /^(\d+)\.(\d+)/.exec(release);
  if (match === null) return `Darwin ${release}`;
  const major = Number(match[1]);
  return `macOS ${major >= 25 ? major + 1 : major - 9}.${match[2]}`;
}
