/** SystemConfiguration's preferences: files of settings that system services read, with a lock and a commit. */
import koffi from "koffi";
import type { Handle } from "./corefoundation.ts";

export const SYSTEM_CONFIGURATION = "/System/Library/Frameworks/SystemConfiguration.framework/SystemConfiguration";

export interface SystemConfiguration {
  /**
   * Opens the file `file` of /Library/Preferences/SystemConfiguration (a CFString); 0 when that fails. To be released.
   */
  SCPreferencesCreate(allocator: 0, name: Handle, file: Handle): Handle;
  /** False with kSCStatusPrefsBusy when another process has the lock and `wait` is false. */
  SCPreferencesLock(preferences: Handle, wait: boolean): boolean;
  SCPreferencesUnlock(preferences: Handle): boolean;
  /** Borrowed; 0 when there is none. */
  SCPreferencesGetValue(preferences: Handle, key: Handle): Handle;
  SCPreferencesSetValue(preferences: Handle, key: Handle, value: Handle): boolean;
  /** False with kSCStatusStale when the file has changed since it was read. */
  SCPreferencesCommitChanges(preferences: Handle): boolean;
  /** Why the last call failed. */
  SCError(): number;
}

export const kSCStatusAccessError = 1003;
export const kSCStatusPrefsBusy = 3002;
export const kSCStatusStale = 3005;

export function loadSystemConfiguration(path: string = SYSTEM_CONFIGURATION): SystemConfiguration {
  const library = koffi.load(path);
  const declare = (prototype: string): never => library.func(prototype) as never;
  return {
    SCPreferencesCreate: declare("uintptr_t SCPreferencesCreate(uintptr_t allocator, uintptr_t name, uintptr_t file)"),
    SCPreferencesLock: declare("bool SCPreferencesLock(uintptr_t preferences, bool wait)"),
    SCPreferencesUnlock: declare("bool SCPreferencesUnlock(uintptr_t preferences)"),
    SCPreferencesGetValue: declare("uintptr_t SCPreferencesGetValue(uintptr_t preferences, uintptr_t key)"),
    SCPreferencesSetValue: declare("bool SCPreferencesSetValue(uintptr_t preferences, uintptr_t key, uintptr_t value)"),
    SCPreferencesCommitChanges: declare("bool SCPreferencesCommitChanges(uintptr_t preferences)"),
    SCError: declare("int SCError()"),
  };
}
