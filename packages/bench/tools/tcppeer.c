/*
 * The destination of tunnels: sends back what comes (echo), swallows it (sink), or sends without end
 * (source). What source sends, and sink expects, is the byte 'Z'. Runs until a signal or --secs.
 */
#include "bench.h"

enum { ECHO, SINK, SOURCE };
#define CHUNK 65536
#define EVENTS 256

/* Echo keeps at most one chunk that the other side did not take, and reads nothing meanwhile. */
struct connection {
    int fd;
    uint8_t *pending;
    size_t size, sent;
};

static int mode = ECHO, poller;
static uint64_t connections, received, sent, corrupt;
static uint8_t buffer[CHUNK], pattern[CHUNK];

static void watch(struct connection *c, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
}

static void accept_all(int listener)
{
    for (int i = 0; i < EVENTS; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) return;
        set_no_delay(fd);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        watch(c, mode == SOURCE ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
        connections++;
    }
}

/* The functions below answer false when the connection is over. */

static bool send_more(struct connection *c, const uint8_t *bytes, size_t size, size_t *taken)
{
    ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL);
    *taken = n > 0 ? (size_t)n : 0;
    sent += *taken;
    return n >= 0 || errno == EAGAIN;
}

static bool echo(struct connection *c, size_t size)
{
    size_t taken;
    if (!send_more(c, buffer, size, &taken)) return false;
    if (taken == size) return true;
    c->size = size - taken;
    c->sent = 0;
    c->pending = malloc(c->size);
    memcpy(c->pending, buffer + taken, c->size);
    watch(c, EPOLLOUT, EPOLL_CTL_MOD);
    return true;
}

static bool on_writable(struct connection *c)
{
    size_t taken;
    if (mode == SOURCE) return send_more(c, pattern, CHUNK, &taken);
    if (!c->pending) return true;
    if (!send_more(c, c->pending + c->sent, c->size - c->sent, &taken)) return false;
    c->sent += taken;
    if (c->sent < c->size) return true;
    free(c->pending);
    c->pending = NULL;
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    return true;
}

static bool on_readable(struct connection *c)
{
    for (int i = 0; i < 4 && !c->pending; i++) {
        ssize_t n = recv(c->fd, buffer, CHUNK, 0);
        if (n <= 0) return n < 0 && errno == EAGAIN;
        received += (uint64_t)n;
        if (mode == SINK && memcmp(buffer, pattern, (size_t)n)) corrupt++;
        if (mode == ECHO && !echo(c, (size_t)n)) return false;
        if (n < CHUNK) return true;
    }
    return true;
}

static int listen_at(const char *text)
{
    endpoint at = parse_endpoint(text);
    int one = 1, fd = socket(at.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at.address, at.size) || listen(fd, 4096)) die(text);
    return fd;
}

int main(int argc, char **argv)
{
    const char *address = NULL;
    double secs = 3600;
    bool wrong = false;
    static const struct option options[] = {
        {"listen", ANY_ARG, 0, 'l'}, {"mode", ANY_ARG, 0, 'm'}, {"secs", ANY_ARG, 0, 's'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'l') address = optarg;
        else if (o == 's') secs = atof(optarg);
        else if (o == 'm' && !strcmp(optarg, "echo")) mode = ECHO;
        else if (o == 'm' && !strcmp(optarg, "sink")) mode = SINK;
        else if (o == 'm' && !strcmp(optarg, "source")) mode = SOURCE;
        else wrong = true;
    }
    if (wrong || !address) {
        fprintf(stderr, "tcppeer --listen ADDRESS:PORT [--mode echo|sink|source] [--secs S]\n");
        return 2;
    }
    stop_on_signals();
    raise_descriptors();
    memset(pattern, 'Z', CHUNK);
    poller = epoll_create1(0);
    int listener = listen_at(address);
    struct epoll_event events[EVENTS], first = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &first);
    uint64_t start = now_ns();
    while (!stopped && seconds_since(start) < secs) {
        int n = epoll_wait(poller, events, EVENTS, 200);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            bool open = !(events[i].events & EPOLLOUT) || on_writable(c);
            if (open && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) open = on_readable(c);
            if (open) continue;
            close(c->fd);
            free(c->pending);
            free(c);
        }
    }
    printf("{\"tool\":\"tcppeer\",\"connections\":%llu,\"received_bytes\":%llu,\"sent_bytes\":%llu,\"corrupt\":%llu}\n",
           (unsigned long long)connections, (unsigned long long)received, (unsigned long long)sent,
           (unsigned long long)corrupt);
    return 0;
}
