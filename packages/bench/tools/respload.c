/*
 * RESP (the protocol of Redis) as load: SET, GET, or SET followed by WAIT for --wait replicas;
 * --conc connections, each with one request under way. SET takes one key after the other, GET any of --keys.
 */
#include "bench.h"

enum mode { SET, GET, SET_WAIT };
#define EVENTS 256
#define VALUE_MAX 16384
#define WAIT_MS "1000"

struct connection {
    int fd, replies;
    size_t size, sent, have;
    uint64_t start;
    char out[VALUE_MAX + 512], in[VALUE_MAX + 512];
};

static enum mode mode = SET;
static int value_bytes = 300, replicas = 2, poller;
static uint64_t keys = 100000, next_key, done, errors, unacknowledged, checksum;
static char value[VALUE_MAX];
static histogram latency;

/* xorshift64; the same keys in every run. */
static uint64_t any(void)
{
    static uint64_t state = 88172645463325252ull;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static void watch(struct connection *c, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, operation, c->fd, &event);
}

static void send_rest(struct connection *c)
{
    while (c->sent < c->size) {
        ssize_t n = send(c->fd, c->out + c->sent, c->size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) die("send");
        if (n < 0) {
            watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        }
        c->sent += (size_t)n;
    }
}

static void request(struct connection *c)
{
    uint64_t number = mode == GET ? any() % keys : next_key++;
    int n;
    if (mode == GET) n = sprintf(c->out, "*2\r\n$3\r\nGET\r\n$16\r\nkey:%012llu\r\n", (unsigned long long)number);
    else {
        n = sprintf(c->out, "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012llu\r\n$%d\r\n", (unsigned long long)number, value_bytes);
        memcpy(c->out + n, value, (size_t)value_bytes);
        n += value_bytes;
        n += sprintf(c->out + n, "\r\n");
    }
    if (mode == SET_WAIT) n += sprintf(c->out + n, "*3\r\n$4\r\nWAIT\r\n$1\r\n%d\r\n$4\r\n" WAIT_MS "\r\n", replicas);
    c->size = (size_t)n;
    c->sent = 0;
    c->replies = mode == SET_WAIT ? 2 : 1;
    c->start = now_ns();
    send_rest(c);
}

/* Takes whole replies from the front; what is cut off stays. */
static void take_replies(struct connection *c)
{
    size_t at = 0;
    while (at < c->have && c->replies > 0) {
        char *start = c->in + at, *line_end = memchr(start, '\n', c->have - at);
        if (!line_end) break;
        size_t next = (size_t)(line_end - c->in) + 1;
        if (*start == '$') {
            long size = strtol(start + 1, NULL, 10);
            if (size < 0) errors++;
            else {
                if (c->have - next < (size_t)size + 2) break;
                checksum += (uint8_t)c->in[next] + (uint64_t)size;
                next += (size_t)size + 2;
            }
        } else if (*start == '-') {
            if (!errors++) fprintf(stderr, "%.*s\n", (int)(line_end - start), start);
        } else if (*start == ':' && strtol(start + 1, NULL, 10) < replicas) unacknowledged++;
        at = next;
        c->replies--;
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, 50);
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (events[i].events & EPOLLOUT) {
            watch(c, EPOLLIN, EPOLL_CTL_MOD);
            send_rest(c);
        }
        if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
        ssize_t size = recv(c->fd, c->in + c->have, sizeof c->in - c->have, 0);
        if (size == 0 || (size < 0 && errno != EAGAIN)) die("connection lost");
        if (size > 0) c->have += (size_t)size;
        take_replies(c);
        if (c->replies > 0) continue;
        record(&latency, now_ns() - c->start);
        done++;
        request(c);
    }
}

static void run_for(double secs, uint64_t count)
{
    uint64_t start = now_ns();
    while (!stopped && seconds_since(start) < secs && !(count && done >= count)) turn();
}

int main(int argc, char **argv)
{
    const char *to = NULL, *pids = NULL;
    int concurrency = 1;
    uint64_t count = 0;
    double secs = 3, warm_s = 0.5;
    bool wrong = false;
    static const struct option options[] = {
        {"to", ANY_ARG, 0, 't'}, {"mode", ANY_ARG, 0, 'm'}, {"conc", ANY_ARG, 0, 'c'}, {"value", ANY_ARG, 0, 'v'}, {"keys", ANY_ARG, 0, 'k'},
        {"wait", ANY_ARG, 0, 'w'}, {"count", ANY_ARG, 0, 'n'}, {"secs", ANY_ARG, 0, 's'}, {"warm", ANY_ARG, 0, 'a'},
        {"pids", ANY_ARG, 0, 'i'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 't') to = optarg;
        else if (o == 'm' && !strcmp(optarg, "set")) mode = SET;
        else if (o == 'm' && !strcmp(optarg, "get")) mode = GET;
        else if (o == 'm' && !strcmp(optarg, "setwait")) mode = SET_WAIT;
        else if (o == 'c') concurrency = atoi(optarg);
        else if (o == 'v') value_bytes = atoi(optarg);
        else if (o == 'k') keys = strtoull(optarg, NULL, 10);
        else if (o == 'w') replicas = atoi(optarg);
        else if (o == 'n') count = strtoull(optarg, NULL, 10);
        else if (o == 's') secs = atof(optarg);
        else if (o == 'a') warm_s = atof(optarg);
        else if (o == 'i') pids = optarg;
        else wrong = true;
    }
    if (wrong || !to || concurrency < 1 || value_bytes < 1 || value_bytes > VALUE_MAX || replicas < 0 || replicas > 9 || !keys) {
        fprintf(stderr, "respload --to ADDRESS:PORT --mode set|get|setwait [--conc N] [--value BYTES] [--keys N]\n"
                        "         [--wait REPLICAS] [--count N] [--secs S] [--warm S] [--pids A,B]\n");
        return 2;
    }
    stop_on_signals();
    raise_descriptors();
    for (int i = 0; i < value_bytes; i++) value[i] = (char)('a' + any() % 26);
    endpoint server = parse_endpoint(to);
    poller = epoll_create1(0);
    struct connection *all = calloc((size_t)concurrency, sizeof *all);
    for (int i = 0; i < concurrency; i++) {
        all[i].fd = socket(server.address.ss_family, SOCK_STREAM, 0);
        if (connect(all[i].fd, (struct sockaddr *)&server.address, server.size)) die(to);
        set_no_delay(all[i].fd);
        fcntl(all[i].fd, F_SETFL, O_NONBLOCK);
        watch(&all[i], EPOLLIN, EPOLL_CTL_ADD);
        request(&all[i]);
    }
    if (!count) run_for(warm_s, 0);
    done = errors = unacknowledged = 0;
    memset(&latency, 0, sizeof latency);
    usage before = usage_of(pids);
    double own_before = own_cpu_s();
    uint64_t start = now_ns();
    run_for(secs, count);
    double elapsed_s = seconds_since(start);
    usage after = usage_of(pids);
    printf("{\"tool\":\"respload\",\"secs\":%.3f,\"done\":%llu,\"errors\":%llu,\"unacknowledged\":%llu,\"checksum\":%llu,"
           "\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"own_cpu_s\":%.2f,",
           elapsed_s, (unsigned long long)done, (unsigned long long)errors, (unsigned long long)unacknowledged,
           (unsigned long long)checksum, quantile_ms(&latency, 0.5), quantile_ms(&latency, 0.99), own_cpu_s() - own_before);
    print_usage(&before, &after);
    printf("}\n");
    return 0;
}
