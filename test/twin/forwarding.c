/*
 * Port forwarding rules on a running interface. Ports come in host byte order, addresses in network order; the handler
 * runs on a thread of nobody's queue. One external port and protocol is one rule's on the whole host.
 */
#define _GNU_SOURCE
#include "interface.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define MOST_RULES 256

static struct rule {
	const void *owner;
	uint8_t protocol, family;
	uint16_t external_port, internal_port;
	uint8_t address[16];
} rules[MOST_RULES];
static int rule_count;

static void note_rules(void) {
	char *json = NULL;
	size_t length = 0;
	FILE *to = open_memstream(&json, &length);
	fputc('[', to);
	for (int i = 0; i < rule_count; i++) {
		char text[INET6_ADDRSTRLEN];
		inet_ntop(rules[i].family == DARWIN_AF_INET ? AF_INET : AF_INET6, rules[i].address, text, sizeof text);
		fprintf(to, "%s{\"protocol\": %u, \"externalPort\": %u, \"internalAddress\": \"%s\", \"internalPort\": %u}",
			i == 0 ? "" : ", ", rules[i].protocol, rules[i].external_port, text, rules[i].internal_port);
	}
	fputc(']', to);
	fclose(to);
	twin_note("rules", json);
	free(json);
}

static int find_rule(uint8_t protocol, uint16_t external_port) {
	for (int i = 0; i < rule_count; i++)
		if (rules[i].protocol == protocol && rules[i].external_port == external_port) return i;
	return -1;
}

bool add_rule(const void *owner, uint8_t protocol, uint16_t external_port, uint8_t family, const void *address,
	uint16_t internal_port) {
	if (rule_count == MOST_RULES || find_rule(protocol, external_port) >= 0) return false;
	struct rule *rule = &rules[rule_count++];
	*rule = (struct rule){owner, protocol, family, external_port, internal_port, {0}};
	memcpy(rule->address, address, family == DARWIN_AF_INET ? 4 : 16);
	twin_add(RULES, 1);
	note_rules();
	return true;
}

static void remove_rule(int i) {
	rules[i] = rules[--rule_count];
	twin_add(RULES, -1);
	note_rules();
}

void forget_rules(const void *owner) {
	for (int i = rule_count - 1; i >= 0; i--)
		if (rules[i].owner == owner) remove_rule(i);
}

struct answer {
	vmnet_handler handler;
	vmnet_return_t status;
};

static void run_answer(void *argument) {
	struct answer *answer = argument;
	twin_sleep(twin_value(RULE_DELAY));
	twin_block_check((const void *)answer->handler, "a port forwarding rule");
	twin_block_uncount((const void *)answer->handler);
	answer->handler(answer->status);
	twin_block_drop((void *)answer->handler);
	free(answer);
}

static void answer_later(vmnet_handler handler, bool succeeded) {
	if (handler == NULL) return;
	struct answer *answer = malloc(sizeof *answer);
	long injected = twin_value(RULE_STATUS);
	vmnet_return_t status = succeeded ? VMNET_SUCCESS : VMNET_FAILURE;
	if (injected != 0) status = (vmnet_return_t)injected;
	*answer = (struct answer){twin_block_copy((const void *)handler, "a port forwarding rule"), status};
	dispatch_async_f(dispatch_get_global_queue(0, 0), answer, run_answer);
}

/* What is answered at once; 0 to go on. With the lock held. */
static vmnet_return_t refused(interface_ref interface, uint8_t protocol, uint16_t external_port, uint8_t family) {
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) return VMNET_INVALID_ARGUMENT;
	if (family != DARWIN_AF_INET && family != DARWIN_AF_INET6) return VMNET_INVALID_ARGUMENT;
	if (external_port == 0) return VMNET_INVALID_ARGUMENT;
	if (interface->network != NULL && twin_value(RULES_ON_NETWORKS) == 0) return VMNET_FAILURE;
	return (vmnet_return_t)twin_value(RULE_REFUSED);
}

static vmnet_return_t add(interface_ref interface, uint8_t protocol, uint16_t external_port, uint8_t family,
	const void *address, uint16_t internal_port, vmnet_handler handler, const char *function) {
	enter(interface, function);
	if (address == NULL) twin_broken("%s without an address", function);
	vmnet_return_t status = refused(interface, protocol, external_port, family);
	if (status == 0 && internal_port == 0) status = VMNET_INVALID_ARGUMENT;
	if (status == 0) {
		bool fails = twin_value(RULE_STATUS) != 0 && twin_value(RULE_STATUS) != VMNET_SUCCESS;
		answer_later(handler, !fails && add_rule(interface, protocol, external_port, family, address, internal_port));
	}
	leave();
	return status == 0 ? VMNET_SUCCESS : status;
}

static vmnet_return_t cancel(interface_ref interface, uint8_t protocol, uint16_t external_port, uint8_t family,
	vmnet_handler handler, const char *function) {
	enter(interface, function);
	vmnet_return_t status = refused(interface, protocol, external_port, family);
	if (status == 0) {
		int i = find_rule(protocol, external_port);
		bool own = i >= 0 && rules[i].owner == interface;
		if (own) remove_rule(i);
		answer_later(handler, own);
	}
	leave();
	return status == 0 ? VMNET_SUCCESS : status;
}

vmnet_return_t vmnet_interface_add_port_forwarding_rule(interface_ref interface, uint8_t protocol,
	uint16_t external_port, struct in_addr internal_address, uint16_t internal_port, vmnet_handler handler) {
	return add(interface, protocol, external_port, DARWIN_AF_INET, &internal_address, internal_port, handler,
		"vmnet_interface_add_port_forwarding_rule");
}

vmnet_return_t vmnet_interface_remove_port_forwarding_rule(interface_ref interface, uint8_t protocol,
	uint16_t external_port, vmnet_handler handler) {
	return cancel(interface, protocol, external_port, DARWIN_AF_INET, handler, "vmnet_interface_remove_port_forwarding_rule");
}

#if MACOS >= 12
vmnet_return_t vmnet_interface_add_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
	uint16_t external_port, uint8_t family, const void *internal_address, uint16_t internal_port, vmnet_handler handler) {
	return add(interface, protocol, external_port, family, internal_address, internal_port, handler,
		"vmnet_interface_add_ip_port_forwarding_rule");
}

vmnet_return_t vmnet_interface_remove_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
	uint16_t external_port, uint8_t family, vmnet_handler handler) {
	return cancel(interface, protocol, external_port, family, handler, "vmnet_interface_remove_ip_port_forwarding_rule");
}

struct listing {
	void (^handler)(xpc_object_t rules);
	xpc_object_t rules;
};

static void run_listing(void *argument) {
	struct listing *listing = argument;
	listing->handler(listing->rules);
	twin_block_release((void *)listing->handler);
	if (listing->rules != NULL) xpc_release(listing->rules);
	free(listing);
}

vmnet_return_t vmnet_interface_get_ip_port_forwarding_rules(interface_ref interface, uint8_t family,
	void (^handler)(xpc_object_t rules)) {
	const char *function = "vmnet_interface_get_ip_port_forwarding_rules";
	enter(interface, function);
	if (handler == NULL) twin_broken("%s without a handler", function);
	xpc_object_t array = NULL;
	for (int i = 0; i < rule_count; i++) {
		if (rules[i].owner != interface || rules[i].family != family) continue;
		if (array == NULL) array = xpc_array_create(NULL, 0);
		xpc_object_t rule = xpc_dictionary_create(NULL, NULL, 0);
		xpc_dictionary_set_uint64(rule, "protocol", rules[i].protocol);
		xpc_dictionary_set_uint64(rule, "external", rules[i].external_port);
		xpc_dictionary_set_uint64(rule, "internal", rules[i].internal_port);
		xpc_dictionary_set_uint64(rule, "family", family);
		xpc_dictionary_set_uuid(rule, "address", rules[i].address);
		xpc_array_append_value(array, rule);
		xpc_release(rule);
	}
	struct listing *listing = malloc(sizeof *listing);
	*listing = (struct listing){twin_block_copy((const void *)handler, function), array};
	dispatch_async_f(dispatch_get_global_queue(0, 0), listing, run_listing);
	leave();
	return VMNET_SUCCESS;
}

vmnet_return_t vmnet_ip_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol, uint16_t *external_port,
	uint8_t family, void *internal_address, uint16_t *internal_port) {
	if (xpc_dictionary_get_uint64(rule, "family") != family) return VMNET_INVALID_ARGUMENT;
	*protocol = (uint8_t)xpc_dictionary_get_uint64(rule, "protocol");
	*external_port = (uint16_t)xpc_dictionary_get_uint64(rule, "external");
	*internal_port = (uint16_t)xpc_dictionary_get_uint64(rule, "internal");
	memcpy(internal_address, xpc_dictionary_get_uuid(rule, "address"), family == DARWIN_AF_INET ? 4 : 16);
	return VMNET_SUCCESS;
}
#endif
