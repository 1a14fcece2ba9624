/*
 * Networks of macOS 26: a configuration is filled, a network made from a copy of it, interfaces started on that. Both are
 * objects that CFRelease takes. Reservations and rules count from the moment the network is made; what is changed in the
 * configuration later has no effect on it.
 */
#define _GNU_SOURCE
#include "interface.h"

#if MACOS >= 26

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cf.h"

#define MOST_ENTRIES 64

struct reservation {
	uint8_t client[6];
	uint32_t address;
};

struct configured_rule {
	uint8_t protocol, family, address[16];
	uint16_t internal_port, external_port;
};

struct configuration {
	operating_modes_t mode;
	bool subnet_given, no_dhcp, no_dns_proxy, no_nat44, no_nat66, no_router_advertisement;
	uint32_t gateway, mask, mtu;
	struct in6_addr prefix;
	uint8_t prefix_length;
	char external_interface[16];
	struct reservation reservations[MOST_ENTRIES];
	struct configured_rule rules[MOST_ENTRIES];
	int reservation_count, rule_count;
};

struct vmnet_network_configuration {
	struct twin_object object;
	struct configuration settings;
};

struct vmnet_network {
	struct twin_object object;
	struct configuration settings;
	struct vmnet_network *next;
};

static struct vmnet_network *networks;

static void end_network(void *object) {
	struct vmnet_network *network = object;
	pthread_mutex_lock(&vmnet_lock);
	struct vmnet_network **at = &networks;
	while (*at != NULL && *at != network) at = &(*at)->next;
	if (*at != NULL) *at = network->next;
	forget_rules(network);
	pthread_mutex_unlock(&vmnet_lock);
	twin_add(NETWORKS, -1);
}

static struct twin_class configuration_class = CF_CLASS("vmnet network configuration", NULL);
static struct twin_class network_class = CF_CLASS("vmnet network", end_network);

void retain_network(void *network) { CFRetain(network); }
void release_network(void *network) { CFRelease(network); }

static bool valid_mode(operating_modes_t mode) { return mode >= VMNET_HOST_MODE && mode <= VMNET_BRIDGED_MODE; }

static void tell(vmnet_return_t *status, vmnet_return_t value) {
	if (status != NULL) *status = value;
}

vmnet_network_configuration_ref vmnet_network_configuration_create(operating_modes_t mode, vmnet_return_t *status) {
	long injected = twin_value(CONFIGURATION_STATUS);
	if (injected != 0 || !valid_mode(mode)) {
		tell(status, injected != 0 ? (vmnet_return_t)injected : VMNET_INVALID_ARGUMENT);
		return NULL;
	}
	vmnet_network_configuration_ref made = twin_new(&configuration_class, sizeof *made);
	made->settings.mode = mode;
	made->settings.mtu = 1500;
	tell(status, VMNET_SUCCESS);
	return made;
}

static struct configuration *settings_of(vmnet_network_configuration_ref configuration, const char *function) {
	twin_check(configuration, CF_FAMILY, &configuration_class, function);
	return &configuration->settings;
}

/* The status of a call that would succeed. */
static vmnet_return_t success(void) {
	long injected = twin_once(CONFIGURATION_CALL);
	return injected == 0 ? VMNET_SUCCESS : (vmnet_return_t)injected;
}

vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref configuration,
	const struct in_addr *given_address, const struct in_addr *given_mask) {
	struct configuration *settings = settings_of(configuration, __func__);
	if (given_address == NULL || given_mask == NULL) twin_broken("%s without an address or a mask", __func__);
	uint32_t address = ntohl(given_address->s_addr), mask = ntohl(given_mask->s_addr);
	bool private = address >> 24 == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8;
	bool contiguous = (~mask & (~mask + 1)) == 0 && mask != 0 && ~mask >= 3;
	if (!private || !contiguous) return VMNET_INVALID_ARGUMENT;
	/* macos.md 1.3: otherwise an overlap with an existing larger network can go unnoticed. */
	bool canonical = twin_value(CANONICAL_SUBNET) != 0;
	if (canonical && address != (address & mask)) return VMNET_INVALID_ARGUMENT;
	if (!canonical && address != (address & mask) + 1) twin_broken("%s: the address must be the gateway, the subnet's first", __func__);
	vmnet_return_t status = success();
	if (status != VMNET_SUCCESS) return status;
	settings->gateway = (address & mask) + 1;
	settings->mask = mask;
	settings->subnet_given = true;
	return status;
}

vmnet_return_t vmnet_network_configuration_set_ipv6_prefix(
	vmnet_network_configuration_ref configuration, const struct in6_addr *prefix, uint8_t length) {
	struct configuration *settings = settings_of(configuration, __func__);
	if (prefix == NULL || length > 128) return VMNET_INVALID_ARGUMENT;
	settings->prefix = *prefix;
	settings->prefix_length = length;
	return success();
}

vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref configuration, uint32_t mtu) {
	struct configuration *settings = settings_of(configuration, __func__);
	if (mtu < 1280 || mtu > 16384) return VMNET_INVALID_ARGUMENT;
	settings->mtu = mtu;
	return success();
}

vmnet_return_t vmnet_network_configuration_set_external_interface(
	vmnet_network_configuration_ref configuration, const char *name) {
	struct configuration *settings = settings_of(configuration, __func__);
	if (name == NULL || strlen(name) >= sizeof settings->external_interface) return VMNET_INVALID_ARGUMENT;
	strcpy(settings->external_interface, name);
	return success();
}

vmnet_return_t vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref configuration,
	const ether_addr_t *client, const struct in_addr *address) {
	struct configuration *settings = settings_of(configuration, __func__);
	if (client == NULL || address == NULL) twin_broken("%s without a client or an address", __func__);
	uint32_t reserved = ntohl(address->s_addr);
	if (settings->reservation_count == MOST_ENTRIES) return VMNET_FAILURE;
	if (settings->subnet_given && ((reserved ^ settings->gateway) & settings->mask) != 0) return VMNET_INVALID_ARGUMENT;
	vmnet_return_t status = success();
	if (status != VMNET_SUCCESS) return status;
	struct reservation *reservation = &settings->reservations[settings->reservation_count++];
	memcpy(reservation->client, client->octet, 6);
	reservation->address = reserved;
	return status;
}

vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(vmnet_network_configuration_ref configuration,
	uint8_t protocol, uint8_t family, uint16_t internal_port, uint16_t external_port, const void *internal_address) {
	struct configuration *settings = settings_of(configuration, __func__);
	if (internal_address == NULL) twin_broken("%s without an address", __func__);
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) return VMNET_INVALID_ARGUMENT;
	if (family != DARWIN_AF_INET && family != DARWIN_AF_INET6) return VMNET_INVALID_ARGUMENT;
	if (internal_port == 0 || external_port == 0 || settings->rule_count == MOST_ENTRIES) return VMNET_INVALID_ARGUMENT;
	if (twin_value(RULE_REFUSED) != 0) return (vmnet_return_t)twin_value(RULE_REFUSED);
	vmnet_return_t status = success();
	if (status != VMNET_SUCCESS) return status;
	struct configured_rule *rule = &settings->rules[settings->rule_count++];
	*rule = (struct configured_rule){protocol, family, {0}, internal_port, external_port};
	memcpy(rule->address, internal_address, family == DARWIN_AF_INET ? 4 : 16);
	return status;
}

#define SWITCH(name, field) \
	void vmnet_network_configuration_disable_##name(vmnet_network_configuration_ref configuration) { \
		settings_of(configuration, __func__)->field = true; \
	}
SWITCH(dhcp, no_dhcp)
SWITCH(dns_proxy, no_dns_proxy)
SWITCH(nat44, no_nat44)
SWITCH(nat66, no_nat66)
SWITCH(router_advertisement, no_router_advertisement)

/* --- networks --- */

static void print_address(FILE *to, uint32_t host_order) {
	fprintf(to, "%u.%u.%u.%u", host_order >> 24, host_order >> 16 & 255, host_order >> 8 & 255, host_order & 255);
}

static void note(const struct configuration *settings) {
	char *json = NULL;
	size_t length = 0;
	FILE *to = open_memstream(&json, &length);
	fprintf(to, "{\"mode\": %u, \"gateway\": \"", settings->mode);
	print_address(to, settings->gateway);
	fputs("\", \"mask\": \"", to);
	print_address(to, settings->mask);
	fprintf(to, "\", \"mtu\": %u, \"dhcp\": %s, \"dnsProxy\": %s, \"nat44\": %s, \"nat66\": %s, ", settings->mtu,
		settings->no_dhcp ? "false" : "true", settings->no_dns_proxy ? "false" : "true", settings->no_nat44 ? "false" : "true",
		settings->no_nat66 ? "false" : "true");
	fprintf(to, "\"routerAdvertisement\": %s, \"externalInterface\": \"%s\", \"reservations\": [",
		settings->no_router_advertisement ? "false" : "true", settings->external_interface);
	for (int i = 0; i < settings->reservation_count; i++) {
		const uint8_t *mac = settings->reservations[i].client;
		fprintf(to, "%s{\"client\": \"%02x:%02x:%02x:%02x:%02x:%02x\", \"address\": \"", i == 0 ? "" : ", ", mac[0], mac[1],
			mac[2], mac[3], mac[4], mac[5]);
		print_address(to, settings->reservations[i].address);
		fputs("\"}", to);
	}
	fputs("], \"rules\": [", to);
	for (int i = 0; i < settings->rule_count; i++) {
		const struct configured_rule *rule = &settings->rules[i];
		char text[INET6_ADDRSTRLEN];
		inet_ntop(rule->family == DARWIN_AF_INET ? AF_INET : AF_INET6, rule->address, text, sizeof text);
		fprintf(to, "%s{\"protocol\": %u, \"externalPort\": %u, \"internalAddress\": \"%s\", \"internalPort\": %u}",
			i == 0 ? "" : ", ", rule->protocol, rule->external_port, text, rule->internal_port);
	}
	fputs("]}", to);
	fclose(to);
	twin_note("network", json);
	free(json);
}

static bool overlaps(const struct configuration *one) {
	for (struct vmnet_network *each = networks; each != NULL; each = each->next) {
		uint32_t wider = one->mask & each->settings.mask;
		if (((one->gateway ^ each->settings.gateway) & wider) == 0) return true;
	}
	return false;
}

static vmnet_return_t admit(struct configuration *settings, const void *owner) {
	if (twin_value(NETWORK_STATUS) != 0) return (vmnet_return_t)twin_value(NETWORK_STATUS);
	/* macos.md 1.3: without root and without the entitlement. */
	if (geteuid() != 0 && twin_value(ENTITLED) == 0) return VMNET_MEM_FAILURE;
	if (!settings->subnet_given) {
		settings->mask = 0xffffff00;
		uint32_t base = settings->mode == VMNET_HOST_MODE ? 0xc0a88001 : 0xc0a84001;
		settings->gateway = base;
		for (int i = 1; i < 64 && overlaps(settings); i++) settings->gateway = base + ((uint32_t)i << 8);
	}
	if (overlaps(settings)) return VMNET_FAILURE;
	for (int i = 0; i < settings->rule_count; i++) {
		struct configured_rule *rule = &settings->rules[i];
		if (add_rule(owner, rule->protocol, rule->external_port, rule->family, rule->address, rule->internal_port)) continue;
		forget_rules(owner);
		return VMNET_FAILURE;
	}
	return VMNET_SUCCESS;
}

vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref configuration, vmnet_return_t *status) {
	struct configuration settings = *settings_of(configuration, __func__);
	settings.gateway += (uint32_t)twin_value(SUBNET_SHIFT);
	vmnet_network_ref made = twin_new(&network_class, sizeof *made);
	twin_add(NETWORKS, 1);
	pthread_mutex_lock(&vmnet_lock);
	vmnet_return_t result = admit(&settings, made);
	made->settings = settings;
	if (result == VMNET_SUCCESS) {
		made->next = networks;
		networks = made;
		note(&settings);
	} else CFRelease(made);
	pthread_mutex_unlock(&vmnet_lock);
	tell(status, result);
	return result == VMNET_SUCCESS ? made : NULL;
}

static struct configuration *network_of(vmnet_network_ref network, const char *function) {
	twin_check(network, CF_FAMILY, &network_class, function);
	return &network->settings;
}

void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet, struct in_addr *mask) {
	struct configuration *settings = network_of(network, __func__);
	subnet->s_addr = htonl(settings->gateway & settings->mask);
	mask->s_addr = htonl(settings->mask);
}

void vmnet_network_get_ipv6_prefix(vmnet_network_ref network, struct in6_addr *prefix, uint8_t *length) {
	struct configuration *settings = network_of(network, __func__);
	*prefix = settings->prefix;
	*length = settings->prefix_length;
}

interface_ref vmnet_interface_start_with_network(
	vmnet_network_ref network, xpc_object_t description, dispatch_queue_t queue, vmnet_start_handler handler) {
	struct configuration *settings = network_of(network, __func__);
	uint32_t last = (settings->gateway | ~settings->mask) - 1;
	struct network_settings given = {settings->gateway, settings->mask, last, settings->mtu};
	return start(network, &given, settings->mode, description, queue, handler, __func__);
}

#else

/* Before macOS 26 no interface has a network. */
void retain_network(void *network) { (void)network; }
void release_network(void *network) { (void)network; }

#endif
