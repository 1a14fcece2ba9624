/** Records of the registry for tests of what reads it. */
import type { TestContext } from "node:test";
import { Registration, type RegistrationOptions } from "../../src/registry/registration.ts";
import type { RegistrySystem } from "../../src/registry/system.ts";
import { NETWORK, OTHER_VM } from "../registry/support.ts";

/** A live record, until the test ends. */
export function openRecordOf(
  t: TestContext,
  system: RegistrySystem,
  options: Partial<RegistrationOptions>,
): Registration {
  const registration = Registration.open(system, { network: NETWORK, mac: OTHER_VM, pid: process.pid, ...options });
  t.after(() => registration.close());
  return registration;
}
