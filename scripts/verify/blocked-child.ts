/** The child of blocked.ts: `blocked-child.ts LIBRARIES`, their paths as JSON. The gateway's answer to ARP is what arrives. */
import koffi from "koffi";
import { loadVmnetNative } from "../../src/networks/vmnet/native.ts";
import { allocateSlab } from "../../src/ports/slab.ts";
import { clearWhileBlocked } from "./blocked.ts";
import { askGateway } from "./vmnet.ts";

const libraries = JSON.parse(process.argv[2]!);
koffi.load(libraries.system);
koffi.load(libraries.coreFoundation); // a stand-in for vmnet is linked with these two by their names
const finding = await clearWhileBlocked(loadVmnetNative(libraries), (vmnet) => {
  askGateway(vmnet, allocateSlab(vmnet.parameters.maxPacketSize).batch);
});
process.stdout.write(JSON.stringify(finding));
