/** The services that must work for Alice, whatever Mallory does. */
import { BANK_NAME, INTERNET } from "../plan.ts";
import type { Service } from "./service.ts";

const PING_TIMEOUT = 1_000; // milliseconds
const DOWNLOAD_TIMEOUT = 2_000; // milliseconds
const DOWNLOAD_SIZE = 1_000_000; // bytes

const lease: Service = {
  title: "lease from DHCP",
  async attempt({ alice }) {
    const lease = await alice.askForLease();
    const works = lease?.address === alice.address && lease.server === alice.gateway.address;
    return { works, evidence: lease === null ? "no answer" : `${lease.address} from ${lease.server}` };
  },
};

const pingGateway: Service = {
  title: "ping the gateway",
  async attempt({ alice }) {
    const { address } = alice.gateway;
    const works = await alice.ping(address, PING_TIMEOUT);
    return { works, evidence: `${address} ${works ? "answers" : "does not answer"}` };
  },
};

const tcp: Service = {
  title: "TCP to a global address",
  async attempt({ alice }) {
    const asked = { address: INTERNET, size: DOWNLOAD_SIZE, timeout: DOWNLOAD_TIMEOUT };
    const works = await alice.agent.call("download", asked);
    return { works, evidence: works ? `1 MB from ${INTERNET}, intact` : `no download from ${INTERNET}` };
  },
};

const dns: Service = {
  title: "DNS",
  async attempt({ alice }) {
    const { addresses } = await alice.agent.call("resolveName", { server: alice.lease.dns, name: BANK_NAME });
    const [address] = addresses;
    const works = address === INTERNET;
    return { works, evidence: `${BANK_NAME} is ${address ?? "not found"}` };
  },
};

export const SERVICES: readonly Service[] = [lease, pingGateway, tcp, dns];
