/**
 * The paths of Apple's libraries. Tests pass others with the same ABI. The executable uses only these and reads no path
 * from its environment: a user who could choose a library that root loads would be root.
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
