/**
 * Where Apple's libraries are. A test hands in others with the same ABI; the executable takes these, and reads no path
 * from outside: who chooses a library that root loads is root.
 */
import { CORE_FOUNDATION } from "./corefoundation.ts";
import { LIBSYSTEM } from "./libc.ts";
import { SYSTEM_CONFIGURATION } from "./systemconfiguration.ts";
import { VMNET } from "./vmnet.ts";

export interface DarwinLibraries {
  /** libSystem: libc, libdispatch, XPC, blocks. */
  readonly system: string;
  readonly vmnet: string;
  readonly coreFoundation: string;
  readonly systemConfiguration: string;
}

export const APPLE: DarwinLibraries = {
  system: LIBSYSTEM,
  vmnet: VMNET,
  coreFoundation: CORE_FOUNDATION,
  systemConfiguration: SYSTEM_CONFIGURATION,
};
