/*
 * What a test may do with the stand-ins for Apple's libraries, beyond calling Apple's own functions.
 *
 * All of these are exported by the stand-in for libSystem, but for those at the end, which vmnet's exports. A rule of
 * Apple's that the caller breaks ends the process with SIGABRT and one line on stderr that begins with "twin: ".
 */
#ifndef TWIN_H
#define TWIN_H

#include <stddef.h>
#include <stdint.h>

#define TWIN_EXPORT __attribute__((visibility("default")))

/*
 * Sets one of the values below. An unknown name is a broken rule. "times" counts down, "value" stays until set again.
 *
 * vmnet, life cycle
 *   "start status"        value  the start handler gets this status and no parameters (0: none)
 *   "start null"          times  vmnet_start_interface answers NULL, no handler runs
 *   "start delay"         value  milliseconds until the start handler
 *   "stop status"         times  vmnet_stop_interface answers 1001 at once, no handler runs
 *   "stop handler status" value  the stop handler gets this status (0: 1000)
 *   "stop delay"          value  milliseconds until the stop handler
 *   "entitled"            value  1: works without root, as a program with the virtualization entitlement on macOS 26
 *   "fill at stop"        value  1 (at first): packet memory is filled with 0xa5 before the stop handler
 *   "lost stop"           times  the stop handler never comes
 * vmnet, parameters of the next start
 *   "omit packet limits"  value  1: no read_max_packets, no write_max_packets, as before macOS 15; 200 are allowed then
 *   "read limit" "write limit" "max packet size" "mtu"   value  at first 256, 256, 1514, 1500
 *   "receive ring"        value  frames that wait for vmnet_read, at first 1024; more are dropped
 * vmnet, packets
 *   "read status" "write status"   value, once  the next call answers this status and moves nothing
 *   "write exhausted"     times  vmnet_write answers 1007 and writes nothing
 *   "write partial"       value, once  the next call writes this many and answers 1000
 *   "write cap" "read cap" value at most so many packets are moved by each call (0: no limit)
 *   "byte limit"          value  vmnet_write of more bytes answers 1008 (0: no limit)
 * vmnet, events
 *   "event storm"         value, once  the next event comes this many times
 *   "empty every"         value  after every so many drains an event comes with nothing to read, at first 8 (0: never)
 *   "late event"          times  an event comes after the callback was cleared and before the stop handler
 *   "event after stop"    times  an event comes after the stop handler
 * vmnet, port forwarding and networks
 *   "rule status"         value  the handler of add and remove gets this status (0: the true one)
 *   "rule refused"        value  add and remove answer this at once, no handler runs
 *   "rule delay"          value  milliseconds until the handler
 *   "rules on networks"   value  1: the classic calls work on an interface started with a network, else 1001 at once
 *   "network status"      value  vmnet_network_create answers NULL with this status
 *   "configuration status" value vmnet_network_configuration_create answers NULL with this status
 *   "configuration call"  value, once  the next vmnet_network_configuration_set… or add… answers this status
 *   "subnet shift"        value  the network made has its addresses so many further than it was asked for
 *   "canonical subnet"    value  1: set_ipv4_subnet wants the subnet's first address, and refuses the gateway's with 1003
 * preferences
 *   "lock busy"           times  SCPreferencesLock fails with kSCStatusPrefsBusy 3002
 *   "lock delay"          value  milliseconds that SCPreferencesLock takes
 *   "stale"               times  somebody else writes the file while it is locked: the commit fails with 3005
 *   "commit status"       value  SCPreferencesCommitChanges fails with this code
 *   "not root"            value  1: preferences behave as for an ordinary user: kSCStatusAccessError 1003
 * sockets
 *   "send full"           times  a send call fails with ENOBUFS 55 at its first datagram
 *   "send cap" "receive cap" value  at most so many datagrams are moved by each batch call
 *   "send errno" "receive errno"   value, once  the next call fails with this Darwin errno
 *   "batch limit"         value  what sendmsg_x and recvmsg_x move at most, at first 256 (100 up to macOS 13)
 *   "peer room"           value  bytes that the far end of a socket first used later has room for, at first 4 MiB
 * leaks
 *   "check leaks at exit" value  1: what is still held at exit ends the process with SIGABRT
 */
TWIN_EXPORT void twin_inject(const char *what, long value);

/*
 * A counter since the start: "starts" (asked), "started" (handlers with success), "stops" (handlers), "reads", "writes"
 * (calls), "read frames", "written frames", "received frames" (came from outside), "dropped frames" (ring full),
 * "events", "empty events", "rules" (now in force), "networks" (now alive), "commits", "locks", "sends", "receives"
 * (calls), "sent datagrams", "received datagrams", "syslogs". An unknown name is a broken rule.
 */
TWIN_EXPORT long twin_count(const char *what);

/* Prints what is held (objects, blocks, interfaces not stopped) on stderr, one line a kind; answers how many. */
TWIN_EXPORT long twin_report_leaks(void);

/* How many things are held now, without a word. A handler that waits for the caller's thread holds some, too. */
TWIN_EXPORT long twin_held(void);

/* Reads every byte from instrumented code: under AddressSanitizer a report when one may not be. Answers their sum. */
TWIN_EXPORT long twin_touch(const void *bytes, size_t length);

/* What syslog was told: a line "name[facility.priority] message" each. Borrowed until the next call of this. */
TWIN_EXPORT const char *twin_syslog_text(void);

/* Where preferences of relative names lie instead of /Library/Preferences/SystemConfiguration. Needed before any use. */
TWIN_EXPORT void twin_preferences_folder(const char *path);

/* Last string of a kind, as JSON; borrowed until the next call of this with the same kind. From vmnet:
 * "start": the description the last interface was started with, keys by name, "network": true with a network.
 * "rules": the port forwarding rules in force. "network": the last network's configuration. */
TWIN_EXPORT const char *twin_describe(const char *what);

/* --- exported by the stand-in for vmnet --- */

/*
 * What the interface started next is attached to; the first call is for the first start. The descriptor is duplicated.
 * It may be a TAP without packet information, a packet socket or a datagram socket: one frame each read and write.
 * Without it, frames written go to twin_take and frames come from twin_deliver. 0, or -1 when the place is taken.
 */
TWIN_EXPORT int twin_attach(int fd);

/* Attaches the TAP of this name in the calling thread's network namespace, made if missing, gone when the interface
 * stops. Answers 0 or Linux' errno. */
TWIN_EXPORT int twin_attach_tap(const char *name);

/* The frame arrives at the running interface (the last one started): 1, or 0 when the ring is full or nothing runs. */
TWIN_EXPORT int twin_deliver(const void *frame, size_t length);

/* Takes the oldest frame written to an interface that is not attached; its length, 0 for none, the bytes cut to size. */
TWIN_EXPORT size_t twin_take(void *buffer, size_t size);

/* The event callback of the running interface is called so many times at once, whatever there is to read. */
TWIN_EXPORT void twin_fire(long times);

#endif
