/*
 * Makes virtual links carry what a cable would: frames of the MTU with their checksums.
 *
 *   plain LINK…
 *
 * Turns off that a link takes unsegmented data (TSO), joins what arrives (GRO), and passes on frames whose checksum nobody
 * has computed. Segmenting in software, just before the link, stays on, as it does in front of a TAP.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
	const __u32 commands[] = { ETHTOOL_STSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	for (int i = 1; i < argc; i++) {
		for (unsigned command = 0; command < sizeof commands / sizeof *commands; command++) {
			struct ethtool_value off = { .cmd = commands[command], .data = 0 };
			struct ifreq request = { .ifr_data = (char *)&off };
			strncpy(request.ifr_name, argv[i], IFNAMSIZ - 1);
			if (ioctl(fd, SIOCETHTOOL, &request) < 0) {
				perror(argv[i]);
				return 1;
			}
		}
	}
	return 0;
}
