/** The running system's registry, for commands that only read it. Only that system's code is loaded. */
import type { RegistrySystem } from "../../registry/system.ts";
import { UserError } from "../../user-error.ts";

/** Throws UserError where there is none. */
export async function hostRegistry(): Promise<RegistrySystem> {
  if (process.platform === "linux") {
    const { loadLibc } = await import("../../native/linux/libc.ts");
    const { linuxRegistry } = await import("../../registry/linux.ts");
    return linuxRegistry(loadLibc());
  }
  if (process.platform === "darwin") {
    const { loadRegistryCalls } = await import("../../native/darwin/registry-calls.ts");
    const { darwinRegistry } = await import("../../registry/darwin.ts");
    const { loadDarwinLibc } = await import("../../native/darwin/libc.ts");
    return darwinRegistry(loadDarwinLibc(), loadRegistryCalls());
  }
  throw new UserError(`softnet keeps no registry on ${process.platform}`);
}
