/*
 * vmnet's keys: exported pointers to C strings. Those whose text was never seen on a Mac have another text here than
 * their name suggests, so that only a caller that reads the symbol gets through.
 */
#include "vmnet.h"

#include "keys.h"

#define SEEN(name) APPLE const char *vmnet_##name##_key = "vmnet_" #name;
#define UNSEEN(name) APPLE const char *vmnet_##name##_key = "twin." #name;

SEEN(mac_address)
SEEN(mtu)
SEEN(max_packet_size)
SEEN(interface_id)
UNSEEN(operation_mode)
UNSEEN(estimated_packets_available)
SEEN(start_address)
SEEN(end_address)
SEEN(subnet_mask)
SEEN(nat66_prefix)
UNSEEN(shared_interface_name)
UNSEEN(allocate_mac_address)
UNSEEN(network_identifier)
UNSEEN(host_ip_address)
UNSEEN(host_subnet_mask)
UNSEEN(host_ipv6_address)
UNSEEN(enable_tso)
UNSEEN(enable_isolation)
#if MACOS >= 12
UNSEEN(enable_checksum_offload)
#endif
#if MACOS >= 15
SEEN(read_max_packets)
SEEN(write_max_packets)
UNSEEN(enable_virtio_header)
UNSEEN(enable_mac_nat)
#endif
#if MACOS >= 26
UNSEEN(audit_token)
UNSEEN(enable_limited_mode)
UNSEEN(network)
#endif

#define KEY(name, type) {&vmnet_##name##_key, #name, &_xpc_type_##type}
const struct description_key description_keys[] = {
	KEY(operation_mode, uint64), KEY(shared_interface_name, string), KEY(allocate_mac_address, bool), KEY(mtu, uint64),
	KEY(interface_id, uuid), KEY(start_address, string), KEY(end_address, string), KEY(subnet_mask, string),
	KEY(nat66_prefix, string), KEY(network_identifier, uuid), KEY(host_ip_address, string), KEY(host_subnet_mask, string),
	KEY(host_ipv6_address, string), KEY(enable_tso, bool), KEY(enable_isolation, bool),
#if MACOS >= 12
	KEY(enable_checksum_offload, bool),
#endif
#if MACOS >= 15
	KEY(enable_virtio_header, bool), KEY(enable_mac_nat, bool),
#endif
	{NULL, NULL, NULL},
};
