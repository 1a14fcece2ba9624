/**
 * A process with a registration: holder.ts FOLDER NETWORK MAC. It tells "open ADDRESS", the restored one or "none"; then it
 * takes orders, one a line: "claim ADDRESS" → "held" or "free"; "learn ADDRESS" → "held" or "learned"; "release" → "released".
 * ADDRESS may be an IPv6 one.
 */
import { createInterface } from "node:readline";
import { Registration } from "../../src/registry/registration.ts";
import { formatIPv4, parseIPv4, parseMac } from "../../src/wire/address.ts";
import { parseIPv6 } from "../../src/wire/ipv6-address.ts";
import { boundIPv6, boundOf, registryIn } from "./support.ts";

const [directory, network, mac] = process.argv.slice(2) as [string, string, string];
const system = registryIn(directory);
const registration = Registration.open(system, { network, mac: parseMac(mac)!, pid: process.pid, ipv6: true });
const { restored } = registration;
console.log(`open ${restored === undefined ? "none" : formatIPv4(restored.address)}`);

for await (const line of createInterface({ input: process.stdin })) {
  const [order, text = ""] = line.split(" ");
  const address = parseIPv4(text) ?? 0;
  const address6 = parseIPv6(text);
  if (order === "release") {
    registration.released();
    console.log("released");
  } else if (address6 === undefined ? registration.isHeldElsewhere(address) : registration.isHeldElsewhere6(address6)) {
    console.log("held");
  } else if (order === "claim") {
    console.log("free");
  } else {
    const bound = address6 === undefined ? boundOf(system, address) : boundIPv6(address6);
    registration.follow({ kind: "learned", bound });
    console.log("learned");
  }
}
