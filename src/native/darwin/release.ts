/**
 * What this Darwin's kernel can be trusted with. The release (`uname -r`, os.release()) has the macOS version in it:
 * Darwin 23 is macOS 14, 24 is 15, 25 is 26.
 */

export interface DarwinFeatures {
  /** sendmsg_x, from macOS 14 on: before, its limits were other ones. */
  readonly sendsBatches: boolean;
  /** recvmsg_x, from Darwin 24.6 (macOS 15.6) on: before, it could leave a socket's lock taken for ever. */
  readonly receivesBatches: boolean;
}

/** Of a release such as `24.6.0`; what cannot be read has none of it. */
export function darwinFeatures(release: string): DarwinFeatures {
  const match = /^(\d+)\.(\d+)/.exec(release);
  const [major, minor] = match ? [Number(match[1]), Number(match[2])] : [0, 0];
  return { sendsBatches: major >= 23, receivesBatches: major > 24 || (major === 24 && minor >= 6) };
}

/** What people call a release: `macOS 15.6` for 24.6.0. */
export function systemName(release: string): string {
  const match = /^(\d+)\.(\d+)/.exec(release);
  if (match === null) return `Darwin ${release}`;
  const major = Number(match[1]);
  return `macOS ${major >= 25 ? major + 1 : major - 9}.${match[2]}`;
}
