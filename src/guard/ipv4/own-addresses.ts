/** What policy must know of the VM's own address and subnet to tell packets between two machines from others. */
import { directedBroadcastOf } from "../../policy/cidr.ts";
import { LIMITED_BROADCAST } from "../../wire/address.ts";

/** Equal to no address. */
const UNKNOWN = -1;

export class OwnAddresses {
  /** The bound address as a signed number, as views have them; 0 = none. */
  word = 0;
  #directedBroadcast = UNKNOWN;

  /** Address and netmask in host order; 0 = not known. */
  update(address: number, netmask: number): void {
    this.word = address | 0;
    this.#directedBroadcast = (address !== 0 && directedBroadcastOf(address, netmask)) || UNKNOWN;
  }

  /** Whether the directed broadcast address is known. */
  get knowsBroadcast(): boolean {
    return this.#directedBroadcast !== UNKNOWN;
  }

  /** Multicast and broadcast addresses, as far as they are known. */
  isGroup(address: number): boolean {
    return address >>> 28 === 14 || address === LIMITED_BROADCAST || address === this.#directedBroadcast;
  }
}
