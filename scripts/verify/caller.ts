/** Who has started this with sudo: an ordinary user, for points that want one. */
export interface Who {
  readonly uid: number;
  readonly gid: number;
}

export const NO_CALLER = "start this as an ordinary user: he is the one who tries";

/** Undefined where root itself has. */
export function findCaller({ SUDO_UID, SUDO_GID }: NodeJS.ProcessEnv = process.env): Who | undefined {
  const [uid, gid] = [Number(SUDO_UID), Number(SUDO_GID)];
  return uid > 0 && gid >= 0 ? { uid, gid } : undefined;
}
