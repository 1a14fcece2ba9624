/**
 * vmnet.framework: Apple's networks for virtual machines (vmnet.h of the macOS 26 SDK). Interfaces, networks and
 * dictionaries are addresses; blocks come from blocks.ts, queues from dispatch.ts.
 */
import koffi from "koffi";
import { AF_INET } from "./libc.ts";

export const VMNET = "/System/Library/Frameworks/vmnet.framework/vmnet";

/** vmnet_return_t */
export const VMNET_SUCCESS = 1000;
export const VMNET_FAILURE = 1001;
export const VMNET_MEM_FAILURE = 1002;
export const VMNET_INVALID_ARGUMENT = 1003;
export const VMNET_SETUP_INCOMPLETE = 1004;
export const VMNET_INVALID_ACCESS = 1005;
export const VMNET_PACKET_TOO_BIG = 1006;
export const VMNET_BUFFER_EXHAUSTED = 1007;
export const VMNET_TOO_MANY_PACKETS = 1008;
export const VMNET_SHARING_SERVICE_BUSY = 1009;
export const VMNET_NOT_AUTHORIZED = 1010;

/** operating_modes_t */
export const VMNET_HOST_MODE = 1000;
export const VMNET_SHARED_MODE = 1001;

/** interface_event_t: there are packets to read. */
export const VMNET_INTERFACE_PACKETS_AVAILABLE = 1;

/** struct vmpktdesc: the frame's size, its struct iovecs and their number, flags. */
export const VMPKTDESC = { size: 24, packetSize: 0, iov: 8, iovcnt: 16, flags: 20 } as const;

// netinet/in.h
export const IPPROTO_TCP = 6;

export interface Vmnet {
  readonly keys: VmnetKeys;
  /** Returns 0 when it fails at once; else `handler` is called. */
  vmnet_start_interface(description: number, queue: number, handler: number): number;
  /** With queue and handler 0 it ends the calls. */
  vmnet_interface_set_event_callback(vmnetInterface: number, events: number, queue: number, handler: number): number;
  /** `packets`: address of an array of struct vmpktdesc; `count`: address of an int, its length in, frames out. */
  vmnet_read(vmnetInterface: number, packets: number, count: number): number;
  vmnet_write(vmnetInterface: number, packets: number, count: number): number;
  /** VMNET_SUCCESS: `handler` will be called. */
  vmnet_stop_interface(vmnetInterface: number, queue: number, handler: number): number;
  readonly forwarding: VmnetForwarding;
  /** From macOS 26 on. */
  readonly networks: VmnetNetworks | undefined;
}

/** Addresses of vmnet's own C strings: the keys of its dictionaries. */
export interface VmnetKeys {
  readonly operationMode: number;
  readonly enableIsolation: number;
  readonly mtu: number;
  readonly maxPacketSize: number;
  readonly startAddress: number;
  readonly endAddress: number;
  readonly subnetMask: number;
  /** Both from macOS 15 on, 0 before. */
  readonly readMaxPackets: number;
  readonly writeMaxPackets: number;
}

/** Port forwarding of a running interface. Ports in host order; `address` is 4 bytes in network order. */
export interface VmnetForwarding {
  /** Returns VMNET_SUCCESS when `handler` will be called. */
  add(
    vmnetInterface: number,
    protocol: number,
    external: number,
    address: Uint8Array,
    internal: number,
    handler: number,
  ): number;
  remove(vmnetInterface: number, protocol: number, external: number, handler: number): number;
}

/** Networks of one's own. Addresses are 4 bytes in network order; `status` takes a vmnet_return_t. */
export interface VmnetNetworks {
  /** Returns 0 when it fails; else an object for CFRelease. */
  vmnet_network_configuration_create(mode: number, status: Uint32Array): number;
  /** `address`: the first host address of the subnet, which is the gateway's; not verified on macOS 27. */
  vmnet_network_configuration_set_ipv4_subnet(configuration: number, address: Uint8Array, mask: Uint8Array): number;
  vmnet_network_configuration_add_dhcp_reservation(configuration: number, mac: Uint8Array, address: Uint8Array): number;
  /** The internal port comes first, unlike in VmnetForwarding. */
  vmnet_network_configuration_add_port_forwarding_rule(
    configuration: number,
    protocol: number,
    family: number,
    internal: number,
    external: number,
    address: Uint8Array,
  ): number;
  vmnet_network_configuration_disable_dhcp(configuration: number): void;
  /** Returns 0 when it fails; else an object for CFRelease. The configuration is copied. */
  vmnet_network_create(configuration: number, status: Uint32Array): number;
  /** Overwrites both arguments. */
  vmnet_network_get_ipv4_subnet(network: number, subnet: Uint8Array, mask: Uint8Array): void;
  /** As vmnet_start_interface. */
  vmnet_interface_start_with_network(network: number, description: number, queue: number, handler: number): number;
}

/** Throws when there is no such library, or a function is missing. */
export function loadVmnet(path: string = VMNET): Vmnet {
  const library = koffi.load(path);
  const has = (name: string): boolean => {
    try {
      library.symbol(name);
      return true;
    } catch {
      return false;
    }
  };
  const declare = (prototype: string): never => library.func(prototype) as never;
  /** The symbol is a variable with the string's address. */
  const key = (name: string): number => {
    const view = new DataView(koffi.view(library.symbol(name) as bigint, 8));
    return Number(view.getBigUint64(0, true));
  };
  const optionalKey = (name: string): number => (has(name) ? key(name) : 0);
  return {
    keys: {
      operationMode: key("vmnet_operation_mode_key"),
      enableIsolation: key("vmnet_enable_isolation_key"),
      mtu: key("vmnet_mtu_key"),
      maxPacketSize: key("vmnet_max_packet_size_key"),
      startAddress: key("vmnet_start_address_key"),
      endAddress: key("vmnet_end_address_key"),
      subnetMask: key("vmnet_subnet_mask_key"),
      readMaxPackets: optionalKey("vmnet_read_max_packets_key"),
      writeMaxPackets: optionalKey("vmnet_write_max_packets_key"),
    },
    vmnet_start_interface: declare(
      "uintptr_t vmnet_start_interface(uintptr_t description, uintptr_t queue, uintptr_t handler)",
    ),
    vmnet_interface_set_event_callback: declare(
      "uint32_t vmnet_interface_set_event_callback(uintptr_t interface, uint32_t events, uintptr_t queue, uintptr_t handler)",
    ),
    vmnet_read: declare("uint32_t vmnet_read(uintptr_t interface, uintptr_t packets, uintptr_t count)"),
    vmnet_write: declare("uint32_t vmnet_write(uintptr_t interface, uintptr_t packets, uintptr_t count)"),
    vmnet_stop_interface: declare(
      "uint32_t vmnet_stop_interface(uintptr_t interface, uintptr_t queue, uintptr_t handler)",
    ),
    forwarding: has("vmnet_interface_add_ip_port_forwarding_rule") ? forwarding(declare) : oldForwarding(declare),
    networks: has("vmnet_network_create") ? networks(declare) : undefined,
  };
}

type Declare = (prototype: string) => (...values: unknown[]) => number;

/** macOS 12 and later. */
function forwarding(declare: Declare): VmnetForwarding {
  const add = declare(
    "uint32_t vmnet_interface_add_ip_port_forwarding_rule(uintptr_t interface, uint8_t protocol, uint16_t external, uint8_t family, void *address, uint16_t internal, uintptr_t handler)",
  );
  const remove = declare(
    "uint32_t vmnet_interface_remove_ip_port_forwarding_rule(uintptr_t interface, uint8_t protocol, uint16_t external, uint8_t family, uintptr_t handler)",
  );
  return {
    add: (vmnetInterface, protocol, external, address, internal, handler) =>
      add(vmnetInterface, protocol, external, AF_INET, address, internal, handler),
    remove: (vmnetInterface, protocol, external, handler) =>
      remove(vmnetInterface, protocol, external, AF_INET, handler),
  };
}

/** Before macOS 12: IPv4 alone, the address as a value. */
function oldForwarding(declare: Declare): VmnetForwarding {
  const add = declare(
    "uint32_t vmnet_interface_add_port_forwarding_rule(uintptr_t interface, uint8_t protocol, uint16_t external, uint32_t address, uint16_t internal, uintptr_t handler)",
  );
  const remove = declare(
    "uint32_t vmnet_interface_remove_port_forwarding_rule(uintptr_t interface, uint8_t protocol, uint16_t external, uintptr_t handler)",
  );
  return {
    // struct in_addr is one number whose bytes lie in memory in network order.
    add: (vmnetInterface, protocol, external, address, internal, handler) =>
      add(
        vmnetInterface,
        protocol,
        external,
        new DataView(address.slice().buffer).getUint32(0, true),
        internal,
        handler,
      ),
    remove: (vmnetInterface, protocol, external, handler) => remove(vmnetInterface, protocol, external, handler),
  };
}

function networks(declare: (prototype: string) => never): VmnetNetworks {
  return {
    vmnet_network_configuration_create: declare(
      "uintptr_t vmnet_network_configuration_create(uint32_t mode, void *status)",
    ),
    vmnet_network_configuration_set_ipv4_subnet: declare(
      "uint32_t vmnet_network_configuration_set_ipv4_subnet(uintptr_t configuration, void *address, void *mask)",
    ),
    vmnet_network_configuration_add_dhcp_reservation: declare(
      "uint32_t vmnet_network_configuration_add_dhcp_reservation(uintptr_t configuration, void *mac, void *address)",
    ),
    vmnet_network_configuration_add_port_forwarding_rule: declare(
      "uint32_t vmnet_network_configuration_add_port_forwarding_rule(uintptr_t configuration, uint8_t protocol, uint8_t family, uint16_t internal, uint16_t external, void *address)",
    ),
    vmnet_network_configuration_disable_dhcp: declare(
      "void vmnet_network_configuration_disable_dhcp(uintptr_t configuration)",
    ),
    vmnet_network_create: declare("uintptr_t vmnet_network_create(uintptr_t configuration, void *status)"),
    vmnet_network_get_ipv4_subnet: declare(
      "void vmnet_network_get_ipv4_subnet(uintptr_t network, void *subnet, void *mask)",
    ),
    vmnet_interface_start_with_network: declare(
      "uintptr_t vmnet_interface_start_with_network(uintptr_t network, uintptr_t description, uintptr_t queue, uintptr_t handler)",
    ),
  };
}
