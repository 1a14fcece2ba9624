/*
 * vmnet's interfaces: start, events, stop. One lock guards everything; no handler is called with it held.
 *
 * An interface is never freed, so that a use after its stop can be told from any other mistake. Its event callback is
 * edge-like, as macos.md's section 1.5 has it: armed when it is set, it is disarmed by the event that it sends, and armed
 * again only by a vmnet_read that finds nothing.
 */
#define _GNU_SOURCE
#include "interface.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "keys.h"

/* Recursive: the last release of a network, under the lock or not, takes it too. */
pthread_mutex_t vmnet_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct vmnet_interface *interfaces;

static void check(interface_ref interface, const char *function) {
	if (interface == NULL) twin_broken("%s was given no interface", function);
	bool known = false;
	for (interface_ref each = interfaces; each != NULL && !known; each = each->next) known = each == interface;
	if (!known) twin_broken("%s was given something that is no interface", function);
	if (interface->state == STARTING) twin_broken("%s before the start handler came", function);
	if (interface->state == REFUSED) twin_broken("%s on an interface whose start was refused", function);
	if (interface->state == STOPPING) twin_broken("%s after vmnet_stop_interface", function);
	if (interface->state == STOPPED) twin_broken("%s after the interface was stopped", function);
}

void enter(interface_ref interface, const char *function) {
	pthread_mutex_lock(&vmnet_lock);
	check(interface, function);
}

void leave(void) { pthread_mutex_unlock(&vmnet_lock); }

interface_ref last_running(void) {
	for (interface_ref each = interfaces; each != NULL; each = each->next)
		if (each->state == RUNNING) return each;
	return NULL;
}

/* --- the description --- */

static uint32_t address(const char *text, const char *key) {
	struct in_addr parsed;
	if (inet_pton(AF_INET, text, &parsed) != 1) twin_broken("the description's %s is no address: %s", key, text);
	return ntohl(parsed.s_addr);
}

/* Whether the three addresses are what vmnet accepts. */
static bool plausible(const struct network_settings *settings) {
	uint32_t gateway = settings->gateway, mask = settings->mask;
	bool private = gateway >> 24 == 10 || gateway >> 20 == 0xac1 || gateway >> 16 == 0xc0a8;
	bool contiguous = mask != 0 && (~mask & (~mask + 1)) == 0;
	return private && contiguous && (gateway & mask) == (settings->end & mask) && gateway < settings->end;
}

/* Reads the description; false when vmnet answers 1003. Writes it as JSON. */
static bool read_description(interface_ref interface, xpc_object_t description, FILE *json, const char *function) {
	__block bool first = true;
	xpc_dictionary_apply(description, ^bool(const char *key, xpc_object_t value) {
		const struct description_key *known = description_keys;
		while (known->key != NULL && strcmp(*known->key, key) != 0) known++;
		if (known->key == NULL) twin_broken("%s: vmnet has no key \"%s\" (read the key from its symbol)", function, key);
		if (xpc_get_type(value) != known->type)
			twin_broken("%s: %s is a %s and not a %s", function, known->name, xpc_type_get_name(xpc_get_type(value)),
				xpc_type_get_name(known->type));
		fprintf(json, "%s\"%s\": ", first ? "" : ", ", known->name);
		first = false;
		if (known->type == &_xpc_type_uint64) fprintf(json, "%lu", xpc_uint64_get_value(value));
		else if (known->type == &_xpc_type_bool) fputs(xpc_bool_get_value(value) ? "true" : "false", json);
		else if (known->type == &_xpc_type_string) fprintf(json, "\"%s\"", xpc_string_get_string_ptr(value));
		else {
			fputc('"', json);
			for (int i = 0; i < 16; i++) fprintf(json, "%02x", xpc_uuid_get_bytes(value)[i]);
			fputc('"', json);
		}
		return true;
	});
	if (interface->network != NULL) {
		fprintf(json, "%s\"network\": true", first ? "" : ", ");
		if (xpc_dictionary_get_value(description, vmnet_operation_mode_key) != NULL) return false;
		if (xpc_dictionary_get_value(description, vmnet_start_address_key) != NULL) return false;
	} else {
		if (xpc_dictionary_get_value(description, vmnet_operation_mode_key) == NULL) return false;
		interface->mode = (operating_modes_t)xpc_dictionary_get_uint64(description, vmnet_operation_mode_key);
		bool host = interface->mode == VMNET_HOST_MODE;
		if (interface->mode < VMNET_HOST_MODE || interface->mode > VMNET_BRIDGED_MODE) return false;
		if (interface->mode == VMNET_BRIDGED_MODE &&
			xpc_dictionary_get_string(description, vmnet_shared_interface_name_key) == NULL) return false;
		uint32_t net = host ? 0xc0a88000 : 0xc0a84000; /* 192.168.128.0, 192.168.64.0 */
		interface->settings = (struct network_settings){net + 1, 0xffffff00, net + 254, (uint32_t)twin_value(MTU)};
		const char *first_address = xpc_dictionary_get_string(description, vmnet_start_address_key);
		const char *last_address = xpc_dictionary_get_string(description, vmnet_end_address_key);
		const char *mask = xpc_dictionary_get_string(description, vmnet_subnet_mask_key);
		int given = (first_address != NULL) + (last_address != NULL) + (mask != NULL);
		if (given != 0 && given != 3)
			twin_broken("%s: start_address, end_address and subnet_mask go together, %d of them are there", function, given);
		if (given == 3) {
			interface->settings.gateway = address(first_address, "start_address");
			interface->settings.end = address(last_address, "end_address");
			interface->settings.mask = address(mask, "subnet_mask");
			if (!plausible(&interface->settings)) return false;
		}
	}
	uint64_t mtu = xpc_dictionary_get_uint64(description, vmnet_mtu_key);
	if (mtu != 0) interface->settings.mtu = (uint32_t)mtu;
	interface->max_packet_size = twin_value(MAX_PACKET_SIZE);
	if (xpc_dictionary_get_bool(description, vmnet_enable_tso_key)) interface->max_packet_size = 65550;
	return true;
}

/* --- start --- */

static char *dotted(uint32_t host_order, char text[16]) {
	struct in_addr address = {htonl(host_order)};
	inet_ntop(AF_INET, &address, text, 16);
	return text;
}

static xpc_object_t parameters(interface_ref interface) {
	xpc_object_t result = xpc_dictionary_create(NULL, NULL, 0);
	char text[32];
	uint8_t random[5];
	if (getrandom(random, sizeof random, 0) != sizeof random) twin_broken("no random bytes");
	snprintf(text, sizeof text, "ee:%02x:%02x:%02x:%02x:%02x", random[0], random[1], random[2], random[3], random[4]);
	xpc_dictionary_set_string(result, vmnet_mac_address_key, text);
	xpc_dictionary_set_uint64(result, vmnet_mtu_key, interface->settings.mtu);
	xpc_dictionary_set_uint64(result, vmnet_max_packet_size_key, (uint64_t)interface->max_packet_size);
	xpc_dictionary_set_uuid(result, vmnet_interface_id_key, interface->id);
	if (interface->mode != VMNET_BRIDGED_MODE) {
		xpc_dictionary_set_string(result, vmnet_start_address_key, dotted(interface->settings.gateway, text));
		xpc_dictionary_set_string(result, vmnet_end_address_key, dotted(interface->settings.end, text));
		xpc_dictionary_set_string(result, vmnet_subnet_mask_key, dotted(interface->settings.mask, text));
	}
	if (interface->mode == VMNET_SHARED_MODE) xpc_dictionary_set_string(result, vmnet_nat66_prefix_key, "fd7a:115c:a1e0::");
#if MACOS >= 15
	if (interface->reports_limits) {
		xpc_dictionary_set_uint64(result, vmnet_read_max_packets_key, (uint64_t)interface->read_limit);
		xpc_dictionary_set_uint64(result, vmnet_write_max_packets_key, (uint64_t)interface->write_limit);
	}
#endif
	return result;
}

struct starting {
	interface_ref interface;
	vmnet_start_handler handler;
	vmnet_return_t status;
};

static void run_start(void *argument) {
	struct starting *starting = argument;
	interface_ref interface = starting->interface;
	twin_sleep(twin_value(START_DELAY));
	twin_block_check((const void *)starting->handler, "vmnet_start_interface");
	if (starting->status != VMNET_SUCCESS) {
		pthread_mutex_lock(&vmnet_lock);
		interface->state = REFUSED;
		if (interface->network != NULL) release_network(interface->network);
		pthread_mutex_unlock(&vmnet_lock);
		starting->handler(starting->status, NULL);
	} else {
		xpc_object_t given = parameters(interface);
		pthread_mutex_lock(&vmnet_lock);
		interface->state = RUNNING;
		twin_running_interfaces(1);
		attach(interface);
		pthread_mutex_unlock(&vmnet_lock);
		twin_add(STARTED, 1);
		starting->handler(VMNET_SUCCESS, given);
		xpc_release(given);
	}
	twin_block_release((void *)starting->handler);
	free(starting);
}

interface_ref start(void *network, const struct network_settings *settings, operating_modes_t mode,
	xpc_object_t description, dispatch_queue_t queue, vmnet_start_handler handler, const char *function) {
	twin_check(description, XPC_FAMILY, NULL, function);
	if (xpc_get_type(description) != &_xpc_type_dictionary) twin_broken("%s: the description is no dictionary", function);
	if (queue == NULL || handler == NULL) twin_broken("%s without a queue and a handler", function);
	twin_check_queue(queue, function);
	twin_add(STARTS, 1);
	void *block = twin_block_copy((const void *)handler, function);
	if (twin_times(START_NULL)) {
		twin_block_release(block);
		return NULL;
	}
	interface_ref interface = calloc(1, sizeof *interface);
	interface->fd = -1;
	interface->network = network;
	if (network != NULL) {
		retain_network(network);
		interface->settings = *settings;
		interface->mode = mode;
	}
	if (getrandom(interface->id, 16, 0) != 16) twin_broken("no random bytes");
	interface->ring_size = twin_value(RECEIVE_RING);
	interface->reports_limits = MACOS >= 15 && twin_value(OMIT_PACKET_LIMITS) == 0;
	interface->read_limit = interface->reports_limits ? twin_value(READ_LIMIT) : 200;
	interface->write_limit = interface->reports_limits ? twin_value(WRITE_LIMIT) : 200;

	struct starting *starting = malloc(sizeof *starting);
	*starting = (struct starting){interface, block, VMNET_SUCCESS};
	char *json = NULL;
	size_t length = 0;
	FILE *to = open_memstream(&json, &length);
	fputc('{', to);
	if (!read_description(interface, description, to, function)) starting->status = VMNET_INVALID_ARGUMENT;
	fputc('}', to);
	fclose(to);
	twin_note("start", json);
	free(json);
	/* macos.md 1.5: without root the handler comes with 1001. */
	if (geteuid() != 0 && !(MACOS >= 26 && twin_value(ENTITLED) != 0)) starting->status = VMNET_FAILURE;
	if (twin_value(START_STATUS) != 0) starting->status = (vmnet_return_t)twin_value(START_STATUS);

	pthread_mutex_lock(&vmnet_lock);
	interface->next = interfaces;
	interfaces = interface;
	pthread_mutex_unlock(&vmnet_lock);
	dispatch_async_f(queue, starting, run_start);
	return interface;
}

interface_ref vmnet_start_interface(xpc_object_t description, dispatch_queue_t queue, vmnet_start_handler handler) {
	return start(NULL, NULL, 0, description, queue, handler, "vmnet_start_interface");
}

/* --- events --- */

struct event {
	interface_ref interface;
	vmnet_event_handler handler;
	dispatch_queue_t queue;
	bool after_clearing;
};

static void run_event(void *argument) {
	struct event *event = argument;
	pthread_mutex_lock(&vmnet_lock);
	long waiting = event->interface->received.count;
	bool wanted = event->after_clearing || event->interface->event_handler != NULL;
	pthread_mutex_unlock(&vmnet_lock);
	if (wanted) {
		twin_block_check((const void *)event->handler, "vmnet_interface_set_event_callback");
		xpc_object_t details = xpc_dictionary_create(NULL, NULL, 0);
		xpc_dictionary_set_uint64(details, vmnet_estimated_packets_available_key, (uint64_t)waiting);
		twin_add(EVENTS, 1);
		if (waiting == 0) twin_add(EMPTY_EVENTS, 1);
		event->handler(VMNET_INTERFACE_PACKETS_AVAILABLE, details);
		xpc_release(details);
	}
	twin_block_release((void *)event->handler);
	dispatch_release(event->queue);
	free(event);
}

void fire(interface_ref interface, long times, bool after_clearing) {
	vmnet_event_handler handler = after_clearing ? interface->last_event_handler : interface->event_handler;
	dispatch_queue_t queue = after_clearing ? interface->last_event_queue : interface->event_queue;
	if (handler == NULL) return;
	for (long i = 0; i < times; i++) {
		struct event *event = malloc(sizeof *event);
		void *copy = twin_block_copy((const void *)handler, "vmnet_interface_set_event_callback");
		*event = (struct event){interface, copy, queue, after_clearing};
		dispatch_retain(queue);
		dispatch_async_f(queue, event, run_event);
	}
}

void twin_fire(long times) {
	pthread_mutex_lock(&vmnet_lock);
	interface_ref interface = last_running();
	if (interface != NULL) fire(interface, times, false);
	pthread_mutex_unlock(&vmnet_lock);
}

static void forget_last_event(interface_ref interface) {
	if (interface->last_event_handler == NULL) return;
	twin_block_release((void *)interface->last_event_handler);
	dispatch_release(interface->last_event_queue);
	interface->last_event_handler = NULL;
	interface->last_event_queue = NULL;
}

vmnet_return_t vmnet_interface_set_event_callback(interface_ref interface, interface_event_t mask,
	dispatch_queue_t queue, vmnet_event_handler handler) {
	const char *function = "vmnet_interface_set_event_callback";
	enter(interface, function);
	if (mask != VMNET_INTERFACE_PACKETS_AVAILABLE)
		twin_broken("%s with mask %u: only 1 is an event, also when it is cleared", function, mask);
	if ((queue == NULL) != (handler == NULL)) twin_broken("%s with a queue or a handler only", function);
	if (handler != NULL) {
		twin_check_queue(queue, function);
		forget_last_event(interface);
		interface->event_handler = interface->last_event_handler = twin_block_copy((const void *)handler, function);
		interface->event_queue = interface->last_event_queue = queue;
		dispatch_retain(queue);
		interface->armed = true;
	} else {
		interface->event_handler = NULL;
		interface->event_queue = NULL;
		interface->armed = false;
		if (twin_times(LATE_EVENT)) fire(interface, 1, true);
	}
	leave();
	return VMNET_SUCCESS;
}

/* --- stop --- */

struct stopping {
	interface_ref interface;
	vmnet_handler handler;
	/* The handler never comes; nothing is filled then where the stop was refused, since nobody can know when. */
	bool lost, refused;
};

static void run_stop(void *argument) {
	struct stopping *stopping = argument;
	interface_ref interface = stopping->interface;
	twin_sleep(twin_value(STOP_DELAY));
	if (!stopping->lost) twin_block_check((const void *)stopping->handler, "vmnet_stop_interface");
	detach(interface);
	pthread_mutex_lock(&vmnet_lock);
	if (!stopping->refused) fill_memory(interface);
	forget_frames(&interface->received);
	forget_frames(&interface->written);
	forget_rules(interface);
	if (interface->network != NULL) release_network(interface->network);
	interface->state = STOPPED;
	twin_running_interfaces(-1);
	bool late = twin_times(EVENT_AFTER_STOP);
	if (!late) forget_last_event(interface);
	pthread_mutex_unlock(&vmnet_lock);
	long status = twin_value(STOP_HANDLER_STATUS);
	twin_block_uncount((const void *)stopping->handler);
	if (!stopping->lost) {
		twin_add(STOPS, 1);
		stopping->handler(status == 0 ? VMNET_SUCCESS : (vmnet_return_t)status);
	}
	twin_block_drop((void *)stopping->handler);
	pthread_mutex_lock(&vmnet_lock);
	if (late) fire(interface, 1, true);
	forget_last_event(interface);
	pthread_mutex_unlock(&vmnet_lock);
	free(stopping);
}

vmnet_return_t vmnet_stop_interface(interface_ref interface, dispatch_queue_t queue, vmnet_handler handler) {
	const char *function = "vmnet_stop_interface";
	enter(interface, function);
	if (queue == NULL || handler == NULL) twin_broken("%s without a queue and a handler", function);
	twin_check_queue(queue, function);
	if (interface->event_handler != NULL) twin_broken("%s before the event callback was cleared", function);
	struct stopping *stopping = malloc(sizeof *stopping);
	bool refused = twin_times(STOP_STATUS), lost = refused || twin_times(LOST_STOP);
	*stopping = (struct stopping){interface, twin_block_copy((const void *)handler, function), lost, refused};
	interface->state = STOPPING;
	leave();
	dispatch_async_f(queue, stopping, run_stop);
	return refused ? VMNET_FAILURE : VMNET_SUCCESS;
}

xpc_object_t vmnet_copy_shared_interface_list(void) {
	xpc_object_t name = xpc_string_create("en0");
	xpc_object_t list = xpc_array_create(&name, 1);
	xpc_release(name);
	return list;
}
