/** The service manager of a command that is no run. Only the system's part is loaded. */
import type { ServiceManager } from "../../telemetry/service-manager.ts";

/** Loads what is needed; who calls the result has no borrowed rights any more. None but on Linux. */
export async function serviceManagerHere(): Promise<() => ServiceManager | undefined> {
  if (process.platform !== "linux") return () => undefined;
  const { loadLibc } = await import("../../native/linux/libc.ts");
  const { serviceManager } = await import("../../telemetry/service-manager.ts");
  const libc = loadLibc();
  return () => serviceManager(libc, process.env);
}
