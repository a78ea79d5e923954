/*
 * Sends UDP datagrams in anybody's name: a line of standard input is source address and port,
 * destination address and port, and the payload in hexadecimal. Needs the right to raw sockets.
 */
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATAGRAM_MAX 65507
/* A receiver's buffer takes a few hundred at once. */
#define BURST 16
#define PAUSE_NS 1000000

struct packet {
    struct iphdr ip;
    struct udphdr udp;
    unsigned char payload[DATAGRAM_MAX];
} __attribute__((packed));

static struct packet packet;
static char line[2 * DATAGRAM_MAX + 128], hex[2 * DATAGRAM_MAX + 1];

static size_t read_payload(void) {
    size_t size = 0;
    unsigned byte;
    while (sscanf(hex + 2 * size, "%2x", &byte) == 1) packet.payload[size++] = (unsigned char)byte;
    return size;
}

static int send_line(int fd) {
    char from[64], to[64];
    unsigned short from_port, to_port;
    struct sockaddr_in target = {.sin_family = AF_INET};
    if (sscanf(line, "%63s %hu %63s %hu %s", from, &from_port, to, &to_port, hex) != 5) return -1;
    size_t udp_size = sizeof packet.udp + read_payload();
    packet.ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP};
    packet.ip.tot_len = htons((unsigned short)(sizeof packet.ip + udp_size));
    if (inet_pton(AF_INET, from, &packet.ip.saddr) != 1) return -1;
    if (inet_pton(AF_INET, to, &packet.ip.daddr) != 1) return -1;
    packet.udp.source = htons(from_port);
    packet.udp.dest = htons(to_port);
    packet.udp.len = htons((unsigned short)udp_size);
    packet.udp.check = 0; /* none, which IPv4 allows */
    target.sin_addr.s_addr = packet.ip.daddr;
    size_t size = sizeof packet.ip + udp_size;
    return sendto(fd, &packet, size, 0, (struct sockaddr *)&target, sizeof target) < 0 ? -1 : 0;
}

int main(void) {
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (fd < 0) {
        perror("raw socket");
        return 1;
    }
    for (int sent = 1; fgets(line, sizeof line, stdin); sent++) {
        if (send_line(fd) < 0) {
            perror(line);
            return 1;
        }
        if (sent % BURST == 0) nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return close(fd);
}
