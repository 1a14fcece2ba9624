/* vmnet's keys, and which a description may hold. */
#ifndef TWIN_KEYS_H
#define TWIN_KEYS_H

#include "xpc.h"

APPLE extern const char *vmnet_operation_mode_key, *vmnet_shared_interface_name_key, *vmnet_mac_address_key,
	*vmnet_allocate_mac_address_key, *vmnet_mtu_key, *vmnet_max_packet_size_key, *vmnet_interface_id_key,
	*vmnet_start_address_key, *vmnet_end_address_key, *vmnet_subnet_mask_key, *vmnet_nat66_prefix_key,
	*vmnet_estimated_packets_available_key, *vmnet_network_identifier_key, *vmnet_host_ip_address_key,
	*vmnet_host_subnet_mask_key, *vmnet_host_ipv6_address_key, *vmnet_enable_tso_key, *vmnet_enable_isolation_key,
	*vmnet_enable_checksum_offload_key, *vmnet_read_max_packets_key, *vmnet_write_max_packets_key,
	*vmnet_enable_virtio_header_key, *vmnet_enable_mac_nat_key, *vmnet_audit_token_key, *vmnet_enable_limited_mode_key,
	*vmnet_network_key;

struct description_key {
	const char **key;
	/* The symbol's name without "vmnet_" and "_key". */
	const char *name;
	xpc_type_t type;
};
/* Ends with an entry of NULL. */
extern const struct description_key description_keys[];

#endif
