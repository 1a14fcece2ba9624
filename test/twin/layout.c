/*
 * Prints what the compiler makes of the stand-ins' headers, as JSON: {"sizes": {struct: bytes}, "offsets":
 * {"struct.field": bytes}, "constants": {name: number}}. Names are Apple's.
 */
#include <Block_private.h>
#include <stdio.h>

#include "cf.h"
#include "darwin.h"
#include "vmnet.h"

static const char *comma = "";

#define SIZE(name, type) printf("%s\"%s\": %zu", comma, name, sizeof(type)), comma = ", "
#define OFFSET(name, type, field) printf("%s\"%s.%s\": %zu", comma, name, #field, offsetof(type, field)), comma = ", "
#define NUMBER(name, value) printf("%s\"%s\": %lld", comma, name, (long long)(value)), comma = ", "
#define SAME(name) NUMBER(#name, name)

int main(void) {
	printf("{\"sizes\": {");
	SIZE("vmpktdesc", struct vmpktdesc);
	SIZE("iovec", struct iovec);
	SIZE("msghdr", struct darwin_msghdr);
	SIZE("msghdr_x", struct msghdr_x);
	SIZE("pollfd", struct darwin_pollfd);
	SIZE("timespec", struct darwin_timespec);
	SIZE("kevent", struct darwin_kevent);
	SIZE("sockaddr", struct darwin_sockaddr);
	SIZE("sockaddr_un", struct darwin_sockaddr_un);
	SIZE("mach_timebase_info", struct mach_timebase_info);
	SIZE("passwd", struct darwin_passwd);
	SIZE("group", struct darwin_group);
	SIZE("Block_layout", struct Block_layout);
	SIZE("ether_addr_t", ether_addr_t);
	SIZE("vmnet_return_t", vmnet_return_t);
	SIZE("operating_modes_t", operating_modes_t);
	SIZE("Boolean", Boolean);
	SIZE("CFIndex", CFIndex);
	SIZE("CFTypeID", CFTypeID);
	SIZE("CFDictionaryKeyCallBacks", CFDictionaryKeyCallBacks);
	SIZE("CFDictionaryValueCallBacks", CFDictionaryValueCallBacks);
	comma = "";
	printf("}, \"offsets\": {");
	OFFSET("vmpktdesc", struct vmpktdesc, vm_pkt_size);
	OFFSET("vmpktdesc", struct vmpktdesc, vm_pkt_iov);
	OFFSET("vmpktdesc", struct vmpktdesc, vm_pkt_iovcnt);
	OFFSET("vmpktdesc", struct vmpktdesc, vm_flags);
	OFFSET("iovec", struct iovec, iov_base);
	OFFSET("iovec", struct iovec, iov_len);
	OFFSET("msghdr", struct darwin_msghdr, msg_name);
	OFFSET("msghdr", struct darwin_msghdr, msg_namelen);
	OFFSET("msghdr", struct darwin_msghdr, msg_iov);
	OFFSET("msghdr", struct darwin_msghdr, msg_iovlen);
	OFFSET("msghdr", struct darwin_msghdr, msg_control);
	OFFSET("msghdr", struct darwin_msghdr, msg_controllen);
	OFFSET("msghdr", struct darwin_msghdr, msg_flags);
	OFFSET("msghdr_x", struct msghdr_x, msg_name);
	OFFSET("msghdr_x", struct msghdr_x, msg_namelen);
	OFFSET("msghdr_x", struct msghdr_x, msg_iov);
	OFFSET("msghdr_x", struct msghdr_x, msg_iovlen);
	OFFSET("msghdr_x", struct msghdr_x, msg_control);
	OFFSET("msghdr_x", struct msghdr_x, msg_controllen);
	OFFSET("msghdr_x", struct msghdr_x, msg_flags);
	OFFSET("msghdr_x", struct msghdr_x, msg_datalen);
	OFFSET("pollfd", struct darwin_pollfd, fd);
	OFFSET("pollfd", struct darwin_pollfd, events);
	OFFSET("pollfd", struct darwin_pollfd, revents);
	OFFSET("timespec", struct darwin_timespec, tv_sec);
	OFFSET("timespec", struct darwin_timespec, tv_nsec);
	OFFSET("kevent", struct darwin_kevent, ident);
	OFFSET("kevent", struct darwin_kevent, filter);
	OFFSET("kevent", struct darwin_kevent, flags);
	OFFSET("kevent", struct darwin_kevent, fflags);
	OFFSET("kevent", struct darwin_kevent, data);
	OFFSET("kevent", struct darwin_kevent, udata);
	OFFSET("sockaddr", struct darwin_sockaddr, sa_len);
	OFFSET("sockaddr", struct darwin_sockaddr, sa_family);
	OFFSET("sockaddr_un", struct darwin_sockaddr_un, sun_len);
	OFFSET("sockaddr_un", struct darwin_sockaddr_un, sun_family);
	OFFSET("sockaddr_un", struct darwin_sockaddr_un, sun_path);
	OFFSET("mach_timebase_info", struct mach_timebase_info, numer);
	OFFSET("mach_timebase_info", struct mach_timebase_info, denom);
	OFFSET("passwd", struct darwin_passwd, pw_name);
	OFFSET("passwd", struct darwin_passwd, pw_uid);
	OFFSET("passwd", struct darwin_passwd, pw_gid);
	OFFSET("passwd", struct darwin_passwd, pw_dir);
	OFFSET("group", struct darwin_group, gr_name);
	OFFSET("group", struct darwin_group, gr_gid);
	OFFSET("group", struct darwin_group, gr_mem);
	OFFSET("Block_layout", struct Block_layout, isa);
	OFFSET("Block_layout", struct Block_layout, flags);
	OFFSET("Block_layout", struct Block_layout, reserved);
	OFFSET("Block_layout", struct Block_layout, invoke);
	OFFSET("Block_layout", struct Block_layout, descriptor);
	OFFSET("Block_descriptor", struct Block_descriptor, reserved);
	OFFSET("Block_descriptor", struct Block_descriptor, size);
	comma = "";
	printf("}, \"constants\": {");
#define PRINT_DARWIN(name, value) NUMBER(#name, DARWIN_##name);
	DARWIN_ERRNOS(PRINT_DARWIN)
	DARWIN_CONSTANTS(PRINT_DARWIN)
	NUMBER("BLOCK_IS_GLOBAL", BLOCK_IS_GLOBAL);
	NUMBER("BLOCK_HAS_COPY_DISPOSE", BLOCK_HAS_COPY_DISPOSE);
	SAME(VMNET_SUCCESS);
	SAME(VMNET_FAILURE);
	SAME(VMNET_MEM_FAILURE);
	SAME(VMNET_INVALID_ARGUMENT);
	SAME(VMNET_SETUP_INCOMPLETE);
	SAME(VMNET_INVALID_ACCESS);
	SAME(VMNET_PACKET_TOO_BIG);
	SAME(VMNET_BUFFER_EXHAUSTED);
	SAME(VMNET_TOO_MANY_PACKETS);
	SAME(VMNET_SHARING_SERVICE_BUSY);
	SAME(VMNET_NOT_AUTHORIZED);
	SAME(VMNET_HOST_MODE);
	SAME(VMNET_SHARED_MODE);
	SAME(VMNET_BRIDGED_MODE);
	SAME(VMNET_INTERFACE_PACKETS_AVAILABLE);
	SAME(kCFStringEncodingUTF8);
	SAME(kCFNumberSInt32Type);
	SAME(kCFNumberSInt64Type);
	printf("}}\n");
	return 0;
}
