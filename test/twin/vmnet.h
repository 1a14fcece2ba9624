/* vmnet's types and calls as Apple's header gives them (macos.md section 1). MACOS is the major version built for. */
#ifndef TWIN_VMNET_H
#define TWIN_VMNET_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "darwin.h"
#include "dispatch.h"
#include "xpc.h"

#ifndef MACOS
#define MACOS 26
#endif

typedef struct vmnet_interface *interface_ref;
typedef uint32_t vmnet_return_t;
typedef uint32_t operating_modes_t;
typedef uint32_t interface_event_t;

enum {
	VMNET_SUCCESS = 1000, VMNET_FAILURE = 1001, VMNET_MEM_FAILURE = 1002, VMNET_INVALID_ARGUMENT = 1003,
	VMNET_SETUP_INCOMPLETE = 1004, VMNET_INVALID_ACCESS = 1005, VMNET_PACKET_TOO_BIG = 1006,
	VMNET_BUFFER_EXHAUSTED = 1007, VMNET_TOO_MANY_PACKETS = 1008, VMNET_SHARING_SERVICE_BUSY = 1009,
	VMNET_NOT_AUTHORIZED = 1010,
};
enum { VMNET_HOST_MODE = 1000, VMNET_SHARED_MODE = 1001, VMNET_BRIDGED_MODE = 1002 };
enum { VMNET_INTERFACE_PACKETS_AVAILABLE = 1 };

struct vmpktdesc {
	size_t vm_pkt_size;
	struct iovec *vm_pkt_iov;
	uint32_t vm_pkt_iovcnt;
	uint32_t vm_flags;
};

typedef void (^vmnet_start_handler)(vmnet_return_t status, xpc_object_t parameters);
typedef void (^vmnet_event_handler)(interface_event_t mask, xpc_object_t event);
typedef void (^vmnet_handler)(vmnet_return_t status);

APPLE interface_ref vmnet_start_interface(xpc_object_t description, dispatch_queue_t queue, vmnet_start_handler handler);
APPLE vmnet_return_t vmnet_interface_set_event_callback(interface_ref interface, interface_event_t mask,
	dispatch_queue_t queue, vmnet_event_handler handler);
APPLE vmnet_return_t vmnet_read(interface_ref interface, struct vmpktdesc *packets, int *count);
APPLE vmnet_return_t vmnet_write(interface_ref interface, struct vmpktdesc *packets, int *count);
APPLE vmnet_return_t vmnet_stop_interface(interface_ref interface, dispatch_queue_t queue, vmnet_handler handler);
APPLE xpc_object_t vmnet_copy_shared_interface_list(void);

/* Deprecated since 12.0. */
APPLE vmnet_return_t vmnet_interface_add_port_forwarding_rule(interface_ref interface, uint8_t protocol,
	uint16_t external_port, struct in_addr internal_address, uint16_t internal_port, vmnet_handler handler);
APPLE vmnet_return_t vmnet_interface_remove_port_forwarding_rule(interface_ref interface, uint8_t protocol,
	uint16_t external_port, vmnet_handler handler);

#if MACOS >= 12
APPLE vmnet_return_t vmnet_interface_add_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
	uint16_t external_port, uint8_t family, const void *internal_address, uint16_t internal_port, vmnet_handler handler);
APPLE vmnet_return_t vmnet_interface_remove_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
	uint16_t external_port, uint8_t family, vmnet_handler handler);
APPLE vmnet_return_t vmnet_interface_get_ip_port_forwarding_rules(interface_ref interface, uint8_t family,
	void (^handler)(xpc_object_t rules));
APPLE vmnet_return_t vmnet_ip_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol,
	uint16_t *external_port, uint8_t family, void *internal_address, uint16_t *internal_port);
#endif

#if MACOS >= 26
typedef struct vmnet_network_configuration *vmnet_network_configuration_ref;
typedef struct vmnet_network *vmnet_network_ref;
typedef struct { uint8_t octet[6]; } ether_addr_t;

APPLE vmnet_network_configuration_ref vmnet_network_configuration_create(operating_modes_t mode, vmnet_return_t *status);
APPLE vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref configuration, vmnet_return_t *status);
APPLE interface_ref vmnet_interface_start_with_network(vmnet_network_ref network, xpc_object_t description,
	dispatch_queue_t queue, vmnet_start_handler handler);
APPLE vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref configuration,
	const struct in_addr *address, const struct in_addr *mask);
APPLE vmnet_return_t vmnet_network_configuration_set_ipv6_prefix(vmnet_network_configuration_ref configuration,
	const struct in6_addr *prefix, uint8_t length);
APPLE vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref configuration, uint32_t mtu);
APPLE vmnet_return_t vmnet_network_configuration_set_external_interface(vmnet_network_configuration_ref configuration,
	const char *name);
APPLE vmnet_return_t vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref configuration,
	const ether_addr_t *client, const struct in_addr *address);
/* The internal port comes before the external one here. */
APPLE vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(vmnet_network_configuration_ref configuration,
	uint8_t protocol, uint8_t family, uint16_t internal_port, uint16_t external_port, const void *internal_address);
APPLE void vmnet_network_configuration_disable_dhcp(vmnet_network_configuration_ref configuration);
APPLE void vmnet_network_configuration_disable_dns_proxy(vmnet_network_configuration_ref configuration);
APPLE void vmnet_network_configuration_disable_nat44(vmnet_network_configuration_ref configuration);
APPLE void vmnet_network_configuration_disable_nat66(vmnet_network_configuration_ref configuration);
APPLE void vmnet_network_configuration_disable_router_advertisement(vmnet_network_configuration_ref configuration);
APPLE void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet, struct in_addr *mask);
APPLE void vmnet_network_get_ipv6_prefix(vmnet_network_ref network, struct in6_addr *prefix, uint8_t *length);
#endif

#endif
