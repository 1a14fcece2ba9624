/** Settings of the kernel's network stack, in the namespace that the process lives in. */
import { existsSync, writeFileSync } from "node:fs";

/** Writes settings, `net/ipv4/ip_forward` → `1`; those that this kernel does not have are left out. */
export function setKernel(settings: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(settings)) {
    const path = `/proc/sys/${name}`;
    if (existsSync(path)) writeFileSync(path, value);
  }
}
