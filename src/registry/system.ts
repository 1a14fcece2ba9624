/** The system calls that the registry needs. Each platform has an implementation, and tests have one. */

export interface RegistrySystem {
  /** The records' folder: /run/softnet on Linux, /var/run/softnet on macOS. */
  readonly directory: string;
  /** The user id that must own the folder and the records: root's, except in tests. */
  readonly owner: number;
  /** An identifier of this boot of the host. */
  bootId(): string;
  /** Distinguishes networks of the same name on one host (their namespace); empty where names are unique. */
  networkScope(): string;
  /**
   * Takes the write lock on a file that is open for writing, without waiting; false when it is taken. The lock belongs
   * to the open file description: it ends when the last descriptor is closed, also when the process is killed.
   */
  lock(fd: number): boolean;
  /** Whether another process has the write lock. `fd` may be open for reading only. */
  isLocked(fd: number): boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** Microseconds since boot, including time that the machine slept; the guard's clock. */
  sinceBoot(): number;
}
