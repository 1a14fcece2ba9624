/** SystemConfiguration's preferences: files of settings that system services read, with a lock and a commit. */
import koffi from "koffi";

export const SYSTEM_CONFIGURATION = "/System/Library/Frameworks/SystemConfiguration.framework/SystemConfiguration";

export interface SystemConfiguration {
  /** Opens the file `file` of /Library/Preferences/SystemConfiguration (a CFString); 0 when that fails. To be released. */
  SCPreferencesCreate(allocator: 0, name: number, file: number): number;
  /** False with kSCStatusPrefsBusy when somebody else has it and it shall not wait. */
  SCPreferencesLock(preferences: number, wait: boolean): boolean;
  SCPreferencesUnlock(preferences: number): boolean;
  /** Borrowed; 0 when there is none. */
  SCPreferencesGetValue(preferences: number, key: number): number;
  SCPreferencesSetValue(preferences: number, key: number, value: number): boolean;
  /** False with kSCStatusStale when the file was changed since it was read. */
  SCPreferencesCommitChanges(preferences: number): boolean;
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
