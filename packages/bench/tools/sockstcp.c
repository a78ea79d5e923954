/*
 * SOCKS5 CONNECT (RFC 1928) as load. rate: connect, one byte there and back, close, --conc at a
 * time. bulk: --conc streams, one way, as fast as they go. hold: --count tunnels that do nothing.
 */
#include "bench.h"

enum state { CONNECTING, METHOD, REPLY, ECHO, BULK, IDLE, OVER };
enum step { GOES_ON, DONE, FAILED };
enum mode { RATE, UP, DOWN, HOLD };
#define CHUNK 65536
#define EVENTS 512
#define ESTABLISH_S 60.0
#define FAILURES_MAX 1000

struct tunnel {
    int fd;
    enum state state;
    size_t have, want;
    uint8_t in[32];
    uint64_t start;
};

static enum mode mode = RATE;
static bool direct; /* without SOCKS */
static endpoint proxy, target;
static int poller, first_errno, last_state = -1;
static struct tunnel *tunnels;
static int established;
static histogram latency;
static uint64_t done, failures, bytes, corrupt;
static uint8_t buffer[CHUNK], pattern[CHUNK];

static void watch(struct tunnel *t, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.ptr = t};
    epoll_ctl(poller, operation, t->fd, &event);
}

static bool put(struct tunnel *t, const void *data, size_t size)
{
    return send(t->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static void expect(struct tunnel *t, enum state state, size_t size)
{
    t->state = state;
    t->have = 0;
    t->want = size;
}

static void fail(struct tunnel *t, int code)
{
    failures++;
    if (last_state < 0) last_state = t->state, first_errno = code;
}

static void begin(struct tunnel *t)
{
    t->start = now_ns();
    t->state = CONNECTING;
    t->fd = socket(proxy.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (t->fd >= 0) set_no_delay(t->fd);
    if (t->fd < 0 || (connect(t->fd, (struct sockaddr *)&proxy.address, proxy.size) && errno != EINPROGRESS)) {
        fail(t, errno);
        if (t->fd >= 0) close(t->fd);
        t->state = OVER;
        return;
    }
    watch(t, EPOLLOUT, EPOLL_CTL_ADD);
}

static void end(struct tunnel *t, enum step how)
{
    if (how == FAILED) fail(t, errno);
    close(t->fd);
    t->state = OVER;
}

static bool send_request(struct tunnel *t)
{
    uint8_t request[22] = {5, 1, 0};
    size_t size = 3 + put_socks_address(request + 3, &target);
    expect(t, REPLY, 5);
    return put(t, request, size);
}

static enum step on_established(struct tunnel *t)
{
    established++;
    if (mode == RATE) {
        expect(t, ECHO, 1);
        return put(t, "x", 1) ? GOES_ON : FAILED;
    }
    if (mode == HOLD) {
        t->state = IDLE;
        record(&latency, now_ns() - t->start);
        return GOES_ON;
    }
    t->state = BULK;
    watch(t, mode == DOWN ? EPOLLIN : EPOLLOUT, EPOLL_CTL_MOD);
    return GOES_ON;
}

static enum step on_connected(struct tunnel *t)
{
    socklen_t size = sizeof errno;
    getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &errno, &size);
    if (errno) return FAILED;
    watch(t, EPOLLIN, EPOLL_CTL_MOD);
    if (direct) return on_established(t);
    expect(t, METHOD, 2);
    return put(t, "\5\1\0", 3) ? GOES_ON : FAILED;
}

static enum step move_bulk(struct tunnel *t)
{
    ssize_t n = mode == DOWN ? recv(t->fd, buffer, CHUNK, 0) : send(t->fd, pattern, CHUNK, MSG_NOSIGNAL);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return FAILED;
    if (n > 0) bytes += (uint64_t)n;
    if (n > 0 && mode == DOWN && memcmp(buffer, pattern, (size_t)n)) corrupt++;
    return GOES_ON;
}

/* One message of the dialogue is complete. */
static enum step on_message(struct tunnel *t)
{
    switch (t->state) {
    case METHOD:
        return t->in[0] == 5 && t->in[1] == 0 && send_request(t) ? GOES_ON : FAILED;
    case REPLY:
        if (t->in[0] != 5 || t->in[1] != 0) return FAILED;
        if (t->want > 5) return on_established(t);
        t->want = t->in[3] == 1 ? 10 : t->in[3] == 4 ? 22 : 0;
        return t->want ? GOES_ON : FAILED;
    case ECHO:
        if (t->in[0] != 'x') corrupt++;
        record(&latency, now_ns() - t->start);
        done++;
        return DONE;
    default:
        return FAILED;
    }
}

static enum step on_event(struct tunnel *t)
{
    errno = 0;
    if (t->state == CONNECTING) return on_connected(t);
    if (t->state == BULK) return move_bulk(t);
    if (t->state == IDLE) return recv(t->fd, buffer, 1, 0) == 0 ? FAILED : GOES_ON;
    for (;;) {
        ssize_t n = recv(t->fd, t->in + t->have, t->want - t->have, 0);
        if (n < 0 && errno == EAGAIN) return GOES_ON;
        if (n <= 0) return FAILED;
        t->have += (size_t)n;
        if (t->have < t->want) continue;
        enum step step = on_message(t);
        if (step != GOES_ON || t->state == BULK || t->state == IDLE) return step;
    }
}

/* Handles what has happened; a tunnel of rate that is over begins again. */
static void turn(int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(poller, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        struct tunnel *t = events[i].data.ptr;
        enum step step = on_event(t);
        if (step == GOES_ON) continue;
        end(t, step);
        for (int try = 0; mode == RATE && t->state == OVER && try < 20; try++) begin(t);
    }
    if (failures > FAILURES_MAX && failures > done) stopped = 1;
}

static void run_for(double secs)
{
    uint64_t start = now_ns();
    while (!stopped && seconds_since(start) < secs) turn(50);
}

static int pending(int from, int to)
{
    int n = 0;
    for (int i = from; i < to; i++) n += tunnels[i].state < ECHO;
    return n;
}

/* Opens `count` tunnels, `at_once` at a time; answers how many seconds that took. */
static double establish(int count, int at_once)
{
    uint64_t start = now_ns();
    int oldest = 0;
    for (int i = 0; i < count && !stopped; i++) {
        begin(&tunnels[i]);
        while (oldest < i && tunnels[oldest].state >= ECHO) oldest++;
        while (pending(oldest, i + 1) >= at_once && seconds_since(start) < ESTABLISH_S && !stopped) turn(50);
    }
    while (mode != RATE && pending(oldest, count) > 0 && seconds_since(start) < ESTABLISH_S && !stopped) turn(50);
    return seconds_since(start);
}

int main(int argc, char **argv)
{
    const char *via = NULL, *to = NULL, *pids = NULL;
    int concurrency = 32, count = 1000;
    double secs = 3, warm_s = 0.5, settle_s = 2;
    bool wrong = false;
    static const struct option options[] = {
        {"mode", ANY_ARG, 0, 'm'}, {"proxy", ANY_ARG, 0, 'p'}, {"target", ANY_ARG, 0, 't'}, {"conc", ANY_ARG, 0, 'c'},
        {"count", ANY_ARG, 0, 'n'}, {"secs", ANY_ARG, 0, 's'}, {"warm", ANY_ARG, 0, 'w'}, {"settle", ANY_ARG, 0, 'e'},
        {"pids", ANY_ARG, 0, 'i'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'm' && !strcmp(optarg, "rate")) mode = RATE;
        else if (o == 'm' && !strcmp(optarg, "up")) mode = UP;
        else if (o == 'm' && !strcmp(optarg, "down")) mode = DOWN;
        else if (o == 'm' && !strcmp(optarg, "hold")) mode = HOLD;
        else if (o == 'p') via = optarg;
        else if (o == 't') to = optarg;
        else if (o == 'c') concurrency = atoi(optarg);
        else if (o == 'n') count = atoi(optarg);
        else if (o == 's') secs = atof(optarg);
        else if (o == 'w') warm_s = atof(optarg);
        else if (o == 'e') settle_s = atof(optarg);
        else if (o == 'i') pids = optarg;
        else wrong = true;
    }
    if (wrong || !to || concurrency < 1 || count < 1) {
        fprintf(stderr, "sockstcp --mode rate|up|down|hold [--proxy ADDRESS:PORT] --target ADDRESS:PORT [--conc N]\n"
                        "         [--secs S] [--warm S] [--pids A,B]   hold: [--count N] [--settle S]\n");
        return 2;
    }
    stop_on_signals();
    raise_descriptors();
    direct = via == NULL;
    target = parse_endpoint(to);
    proxy = direct ? target : parse_endpoint(via);
    poller = epoll_create1(0);
    memset(pattern, 'Z', CHUNK);
    int total = mode == HOLD ? count : concurrency;
    tunnels = calloc((size_t)total, sizeof *tunnels);

    usage before = usage_of(pids);
    double own_before = own_cpu_s(), establish_s = establish(total, concurrency);
    if (mode != RATE && established < total) {
        fprintf(stderr, "%d of %d tunnels, first failure in state %d: %s\n", established, total, last_state, strerror(first_errno));
        return 3;
    }
    run_for(mode == HOLD ? settle_s : warm_s);
    uint64_t start = now_ns();
    if (mode != HOLD) {
        done = bytes = failures = 0;
        memset(&latency, 0, sizeof latency);
        before = usage_of(pids);
        own_before = own_cpu_s();
        start = now_ns();
        run_for(secs);
    }
    double elapsed_s = mode == HOLD ? establish_s : seconds_since(start);
    usage after = usage_of(pids);
    if (mode == HOLD) done = (uint64_t)established - failures;
    printf("{\"tool\":\"sockstcp\",\"secs\":%.3f,\"done\":%llu,\"bytes\":%llu,\"failures\":%llu,\"corrupt\":%llu,"
           "\"first_errno\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"own_cpu_s\":%.2f,",
           elapsed_s, (unsigned long long)done, (unsigned long long)bytes, (unsigned long long)failures,
           (unsigned long long)corrupt, first_errno, quantile_ms(&latency, 0.5), quantile_ms(&latency, 0.99),
           own_cpu_s() - own_before);
    print_usage(&before, &after);
    printf("}\n");
    return 0;
}
