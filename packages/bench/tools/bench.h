/*
 * What every load tool needs: a clock, a histogram, what processes used, addresses.
 *
 * Every tool prints one line of JSON on standard output, ends after --secs, and sends only where it
 * is told. --pids A,B: what the process trees below A and B used, each by itself, in that order.
 */
#ifndef BENCH_H
#define BENCH_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))
#define NS_PER_S 1000000000ull
#define ANY_ARG required_argument

static UNUSED void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(2);
}

static UNUSED uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static UNUSED double seconds_since(uint64_t start) { return (double)(now_ns() - start) / 1e9; }

/* ---- A log-linear histogram of nanoseconds: 64 buckets for each power of two, 1.6 % wide. ---- */

#define BUCKETS (64 * 59)

typedef struct {
    uint64_t count, max, buckets[BUCKETS];
} histogram;

static UNUSED void record(histogram *h, uint64_t value)
{
    size_t at = value;
    if (value >= 64) {
        int exponent = 63 - __builtin_clzll(value);
        at = (size_t)(exponent - 5) * 64 + ((value >> (exponent - 6)) & 63);
    }
    h->buckets[at < BUCKETS ? at : BUCKETS - 1]++;
    h->count++;
    if (value > h->max) h->max = value;
}

/* In milliseconds; 0 when nothing was recorded. */
static UNUSED double quantile_ms(const histogram *h, double q)
{
    if (h->count == 0) return 0;
    uint64_t wanted = (uint64_t)(q * (double)h->count), seen = 0;
    if (wanted >= h->count) wanted = h->count - 1;
    for (size_t at = 0; at < BUCKETS; at++) {
        seen += h->buckets[at];
        if (seen <= wanted) continue;
        if (at < 64) return (double)at / 1e6;
        int exponent = (int)(at / 64) + 5;
        double value = (double)((1ull << exponent) + ((at % 64) << (exponent - 6)));
        value += (double)(1ull << (exponent - 6)) / 2;
        return (value > (double)h->max ? (double)h->max : value) / 1e6;
    }
    return (double)h->max / 1e6;
}

/* ---- CPU and memory of process trees, from /proc (which counts CPU in ticks of 10 ms). ---- */

#define TREES_MAX 16
#define PROCESSES_MAX 32768

typedef struct {
    int roots[TREES_MAX], count;
    double cpu_s[TREES_MAX];
    long rss_kb[TREES_MAX], pss_kb[TREES_MAX];
} usage;

static struct { int pid, parent, tree; double cpu_s; } processes_[PROCESSES_MAX];

static UNUSED int list_processes_(void)
{
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    int n = 0;
    if (!directory) die("/proc");
    while ((entry = readdir(directory)) && n < PROCESSES_MAX) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        char path[300], text[1024];
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        int fd = open(path, O_RDONLY);
        if (fd < 0) continue;
        ssize_t size = read(fd, text, sizeof text - 1);
        close(fd);
        if (size <= 0) continue;
        text[size] = 0;
        char *rest = strrchr(text, ')');
        int parent;
        unsigned long user, system;
        long children_user, children_system; /* of children that were waited for */
        if (!rest || sscanf(rest + 2, "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &parent,
                            &user, &system, &children_user, &children_system) != 5)
            continue;
        processes_[n].pid = atoi(entry->d_name);
        processes_[n].parent = parent;
        processes_[n].tree = -1;
        processes_[n].cpu_s = (double)(user + system + (unsigned long)(children_user + children_system)) /
                              (double)sysconf(_SC_CLK_TCK);
        n++;
    }
    closedir(directory);
    return n;
}

static UNUSED void add_memory_(usage *u, int tree, int pid)
{
    char path[64], line[256];
    long kb;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "Rss: %ld", &kb) == 1) u->rss_kb[tree] += kb;
        else if (sscanf(line, "Pss: %ld", &kb) == 1) u->pss_kb[tree] += kb;
    }
    if (file) fclose(file);
}

/* pids: "12,345", or NULL. */
static UNUSED usage usage_of(const char *pids)
{
    usage u;
    memset(&u, 0, sizeof u);
    if (!pids) return u;
    for (const char *at = pids; *at && u.count < TREES_MAX; at += strcspn(at, ",")) {
        if (*at == ',') at++;
        u.roots[u.count++] = atoi(at);
    }
    int n = list_processes_();
    for (int i = 0; i < n; i++)
        for (int tree = 0; tree < u.count; tree++)
            if (processes_[i].pid == u.roots[tree]) processes_[i].tree = tree;
    for (bool found = true; found;) {
        found = false;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n && processes_[i].tree < 0; j++)
                if (processes_[j].tree >= 0 && processes_[j].pid == processes_[i].parent) {
                    processes_[i].tree = processes_[j].tree;
                    found = true;
                }
    }
    for (int i = 0; i < n; i++) {
        if (processes_[i].tree < 0) continue;
        u.cpu_s[processes_[i].tree] += processes_[i].cpu_s;
        add_memory_(&u, processes_[i].tree, processes_[i].pid);
    }
    return u;
}

static UNUSED double own_cpu_s(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* Prints `"cpu_s":[…],"rss_kb":[…],"pss_kb":[…]`: CPU and memory beyond what they were before. */
static UNUSED void print_usage(const usage *before, const usage *after)
{
    printf("\"cpu_s\":[");
    for (int i = 0; i < after->count; i++) printf("%s%.2f", i ? "," : "", after->cpu_s[i] - before->cpu_s[i]);
    printf("],\"rss_kb\":[");
    for (int i = 0; i < after->count; i++) printf("%s%ld", i ? "," : "", after->rss_kb[i] - before->rss_kb[i]);
    printf("],\"pss_kb\":[");
    for (int i = 0; i < after->count; i++) printf("%s%ld", i ? "," : "", after->pss_kb[i] - before->pss_kb[i]);
    printf("]");
}

/* ---- Sockets. ---- */

typedef struct {
    struct sockaddr_storage address;
    socklen_t size;
} endpoint;

/* "127.0.0.1:1080", "[::1]:1080" */
static UNUSED endpoint parse_endpoint(const char *text)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) {
        fprintf(stderr, "%s: no ADDRESS:PORT\n", text);
        exit(2);
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    char *start = host;
    if (*start == '[') *strchrnul(++start, ']') = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV}, *found;
    if (getaddrinfo(start, colon + 1, &hints, &found)) {
        fprintf(stderr, "%s: no numeric address\n", text);
        exit(2);
    }
    endpoint e = {.size = found->ai_addrlen};
    memcpy(&e.address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return e;
}

static UNUSED void set_no_delay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static UNUSED void set_port(endpoint *e, in_port_t port)
{
    if (e->address.ss_family == AF_INET) ((struct sockaddr_in *)&e->address)->sin_port = htons(port);
    else ((struct sockaddr_in6 *)&e->address)->sin6_port = htons(port);
}

/* ATYP, address and port of RFC 1928; answers how many bytes, at most 19. */
static UNUSED size_t put_socks_address(uint8_t *at, const endpoint *e)
{
    if (e->address.ss_family == AF_INET) {
        const struct sockaddr_in *to = (const struct sockaddr_in *)&e->address;
        at[0] = 1;
        memcpy(at + 1, &to->sin_addr, 4);
        memcpy(at + 5, &to->sin_port, 2);
        return 7;
    }
    const struct sockaddr_in6 *to = (const struct sockaddr_in6 *)&e->address;
    at[0] = 4;
    memcpy(at + 1, &to->sin6_addr, 16);
    memcpy(at + 17, &to->sin6_port, 2);
    return 19;
}

/* So that a burst is not lost here; beyond the system's bound as far as one may. */
static UNUSED void widen_receive_buffer(int fd)
{
    int bytes = 4 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static UNUSED void raise_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static volatile sig_atomic_t stopped;
static UNUSED void on_signal_(int signal_) { (void)signal_; stopped = 1; }

static UNUSED void stop_on_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal_};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}
#endif
