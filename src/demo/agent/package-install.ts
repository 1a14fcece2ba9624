/** Installs a package as npm does: description, file, hash; each name is looked up at the announced DNS server. */
import { resolveName } from "./dns.ts";
import { type Description, integrityOf, PACKAGE } from "./package-registry.ts";
import { exchange, type TlsKey } from "./web-exchange.ts";

export interface InstallPlan {
  /** The DNS server. */
  readonly server: string;
  readonly registry: string;
  readonly key: TlsKey;
  readonly family: 4 | 6;
  /** Milliseconds for each step. */
  readonly timeout: number;
}

/** How many bytes the file has, or why it is not there. */
export type Installed = { readonly size: number } | { readonly code: string };

export async function install(plan: InstallPlan): Promise<Installed> {
  const described = await fetchByName(plan, `https://${plan.registry}/${PACKAGE}`);
  if ("code" in described) return described;
  const { dist }: Description = JSON.parse(Buffer.from(described.body).toString());
  const file = await fetchByName(plan, dist.tarball);
  if ("code" in file) return file;
  return integrityOf(file.body) === dist.integrity ? { size: file.body.length } : { code: "EINTEGRITY" };
}

async function fetchByName({ server, key, family, timeout }: InstallPlan, url: string) {
  const { hostname, pathname } = new URL(url);
  const { addresses, code = "ENOTFOUND" } = await resolveName({ server, name: hostname, family, timeout });
  const [address] = addresses;
  return address === undefined ? { code } : exchange({ address, name: hostname, key, path: pathname, timeout });
}
