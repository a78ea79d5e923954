/*
 * Noise for a UDP port, or for a group's on loopback: "noise ADDRESS PORT PER_SECOND SECONDS" sends
 * from many ports of one other loopback address. A line of standard input is a kind of datagram,
 * and they take turns: its label, the first and the one after the last of its bytes that are drawn
 * anew each time, 1 if it ends at a random place, and its bytes in hexadecimal. Each run draws the
 * same.
 *
 * It prints a line for each kind, its label, how many the system took and how many bytes of them,
 * and last what came back: "answered", datagrams, bytes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCE "127.0.0.66"
#define SOCKETS 64
#define MULTICAST_INTERFACE "127.0.0.1"
#define KINDS_MAX 256
#define BYTES_MAX 1472
#define TURN_NS 1000000
/* Answers to the last ones. */
#define LATE_NS 300000000

struct kind {
    char label[64];
    size_t from, to, size;
    int cut;
    unsigned char bytes[BYTES_MAX];
    unsigned long sent, sent_bytes;
};

static struct kind kinds[KINDS_MAX];
static size_t kind_count;
static int sockets[SOCKETS];
static unsigned long answers, answered_bytes;
static uint64_t state = 0x9e3779b97f4a7c15u;

/* xorshift64* */
static uint64_t draw(void) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1du;
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_kinds(void) {
    static char line[4 * BYTES_MAX], hex[4 * BYTES_MAX];
    while (fgets(line, sizeof line, stdin)) {
        struct kind *kind = &kinds[kind_count];
        const char *format = "%63s %zu %zu %d %s";
        int read = kind_count == KINDS_MAX ? 0 : sscanf(line, format, kind->label, &kind->from,
                                                        &kind->to, &kind->cut, hex);
        unsigned byte;
        while (read == 5 && kind->size < BYTES_MAX && sscanf(hex + 2 * kind->size, "%2x", &byte) == 1)
            kind->bytes[kind->size++] = (unsigned char)byte;
        if (read != 5 || kind->from > kind->to || kind->to > kind->size) {
            fprintf(stderr, "not a kind of datagram: %s", line);
            exit(2);
        }
        kind_count++;
    }
}

static void open_sockets(void) {
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct in_addr interface;
    inet_pton(AF_INET, SOURCE, &own.sin_addr);
    inet_pton(AF_INET, MULTICAST_INTERFACE, &interface);
    for (int i = 0; i < SOCKETS; i++) {
        sockets[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (sockets[i] < 0 || bind(sockets[i], (struct sockaddr *)&own, sizeof own)) fail(SOURCE);
        if (setsockopt(sockets[i], IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof interface))
            fail(MULTICAST_INTERFACE);
    }
}

static void send_one(struct kind *kind, int fd, const struct sockaddr_in *target) {
    for (size_t at = kind->from; at < kind->to; at++) kind->bytes[at] = (unsigned char)(draw() >> 56);
    size_t size = kind->cut ? draw() % kind->size : kind->size;
    ssize_t sent = sendto(fd, kind->bytes, size, 0, (const struct sockaddr *)target, sizeof *target);
    if (sent < 0 && errno != EAGAIN && errno != ENOBUFS) fail("sendto");
    if (sent < 0) return;
    kind->sent++;
    kind->sent_bytes += (unsigned long)sent;
}

static void read_answers(void) {
    static char bytes[65536];
    for (int i = 0; i < SOCKETS; i++) {
        for (ssize_t size; (size = recv(sockets[i], bytes, sizeof bytes, 0)) >= 0;) {
            answers++;
            answered_bytes += (unsigned long)size;
        }
    }
}

int main(int count, char **words) {
    struct sockaddr_in target = {.sin_family = AF_INET};
    if (count != 5 || inet_pton(AF_INET, words[1], &target.sin_addr) != 1) {
        fprintf(stderr, "noise ADDRESS PORT PER_SECOND SECONDS\n");
        return 2;
    }
    target.sin_port = htons((uint16_t)atoi(words[2]));
    double per_ns = atof(words[3]) / 1e9, length_ns = atof(words[4]) * 1e9;
    read_kinds();
    open_sockets();
    uint64_t start = now_ns(), tried = 0;
    for (;;) {
        double elapsed_ns = (double)(now_ns() - start);
        int over = elapsed_ns >= length_ns;
        uint64_t due = (uint64_t)((over ? length_ns : elapsed_ns) * per_ns);
        for (; tried < due && kind_count > 0; tried++)
            send_one(&kinds[tried % kind_count], sockets[tried % SOCKETS], &target);
        read_answers();
        if (over) break;
        nanosleep(&(struct timespec){.tv_nsec = TURN_NS}, NULL);
    }
    nanosleep(&(struct timespec){.tv_nsec = LATE_NS}, NULL);
    read_answers();
    for (size_t i = 0; i < kind_count; i++)
        printf("%s %lu %lu\n", kinds[i].label, kinds[i].sent, kinds[i].sent_bytes);
    printf("answered %lu %lu\n", answers, answered_bytes);
    return 0;
}
