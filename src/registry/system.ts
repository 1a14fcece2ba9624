/** What the registry needs of the operating system. One of these is made for each platform, and by tests. */

export interface RegistrySystem {
  /** Where the records are: /run/softnet on Linux, /var/run/softnet on macOS. */
  readonly directory: string;
  /** Who must own the folder and the records: root, but in tests. */
  readonly owner: number;
  /** Names this boot of the host; another one after the next. */
  bootId(): string;
  /** Tells apart equally named networks of one host; empty where there is only one of a name. */
  networkScope(): string;
  /**
   * Takes the write lock on a file that is open for writing, without waiting; false when somebody has it. It is the open
   * file description's: it ends when the last descriptor of it is closed, however that happens.
   */
  lock(fd: number): boolean;
  /** Whether somebody else has the write lock. `fd` may be open for reading only: who can only read, cannot lock. */
  isLocked(fd: number): boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** Microseconds since boot, the time that the machine slept included; the guard's clock. */
  sinceBoot(): number;
}
