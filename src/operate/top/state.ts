/** What the user has chosen on the screen, and what a key changes. */
import type { Key } from "./keys.ts";

export interface ScreenState {
  /** The key of the VM that is chosen; undefined: the first one. */
  readonly chosen?: string;
  /** Whether that VM alone is shown. */
  readonly detail: boolean;
  /** Lines of its page that were scrolled away. */
  readonly offset: number;
}

export const AT_START: ScreenState = { detail: false, offset: 0 };

/** `keys`: of all VMs, in the order of the screen. */
export function press(state: ScreenState, key: Key, keys: readonly string[]): ScreenState {
  if (state.detail) {
    if (key === "up") return { ...state, offset: Math.max(0, state.offset - 1) };
    if (key === "down") return { ...state, offset: state.offset + 1 };
    if (key === "escape" || key === "left") return { ...state, detail: false, offset: 0 };
    return state;
  }
  const at = indexOf(state, keys);
  const move = (to: number): ScreenState => {
    const chosen = keys[Math.min(keys.length - 1, Math.max(0, to))];
    return chosen === undefined ? state : { ...state, chosen };
  };
  if (key === "up") return move(at - 1);
  if (key === "down") return move(at + 1);
  if (key === "first") return move(0);
  if (key === "last") return move(keys.length - 1);
  if ((key === "enter" || key === "right") && keys.length > 0) return { ...move(at), detail: true, offset: 0 };
  return state;
}

/** Where the chosen VM is; the first one where it is gone. */
export function indexOf({ chosen }: ScreenState, keys: readonly string[]): number {
  return Math.max(0, keys.indexOf(chosen ?? ""));
}
