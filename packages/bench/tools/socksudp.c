/*
 * SOCKS5 UDP ASSOCIATE (RFC 1928) as load: numbered datagrams of --size bytes to a target that sends
 * them back. --rate: so many a second, whatever comes back. --window: so many under way, as fast as
 * they come back. A datagram counts once, when it is back as it was sent.
 */
#include "bench.h"

#define BATCH 64
#define DATAGRAM_MAX 2048
#define SOCKS_HEADER_MAX 22
#define DIALOGUE_S 5
#define PROBES_MAX 100
#define PROBE_MS 100
/* What is not back so long after the last one was sent, or came, is lost. */
#define LOST_S 0.3
#define WAIT_MAX_NS 1000000
#define SEQUENCES_MAX (1ull << 28)
/* Proof of the path, warming, and what is measured: each is a run of its own. */
#define PARTS 3

/* What every datagram begins with; the rest is the byte 'Z'. */
struct stamp {
    uint64_t run, sequence, sent_ns;
};

struct counts {
    uint64_t sent, received, duplicates, corrupt, unsent;
};

static endpoint proxy, target;
static int control = -1, fd, poller;
static size_t size = 200, header_size;
static uint8_t header[SOCKS_HEADER_MAX], outgoing[BATCH][DATAGRAM_MAX], incoming[BATCH][DATAGRAM_MAX];
static struct iovec outgoing_parts[BATCH], incoming_parts[BATCH];
static struct mmsghdr outgoing_batch[BATCH], incoming_batch[BATCH];
static uint8_t pattern[DATAGRAM_MAX], *seen;
static uint64_t run, sending_ended_ns, last_received_ns;
static struct counts counts;
static histogram latency;

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(3);
}

static void hear(uint8_t *bytes, size_t wanted)
{
    for (size_t have = 0; have < wanted;) {
        ssize_t n = recv(control, bytes + have, wanted - have, 0);
        if (n <= 0) fail("no answer on the control connection");
        have += (size_t)n;
    }
}

static void say(const void *bytes, size_t count)
{
    if (send(control, bytes, count, MSG_NOSIGNAL) != (ssize_t)count) die("control connection");
}

/* Where datagrams go, as the reply says it. */
static endpoint hear_reply(void)
{
    uint8_t reply[18];
    endpoint relay = {.size = proxy.size};
    hear(reply, 4);
    if (reply[0] != 5 || reply[1] != 0) {
        fprintf(stderr, "UDP ASSOCIATE: reply %d\n", reply[1]);
        exit(3);
    }
    if (reply[3] == 1) {
        struct sockaddr_in *at = (struct sockaddr_in *)&relay.address;
        hear(reply, 6);
        *at = (struct sockaddr_in){.sin_family = AF_INET};
        memcpy(&at->sin_addr, reply, 4);
        memcpy(&at->sin_port, reply + 4, 2);
        if (at->sin_addr.s_addr == 0) at->sin_addr = ((struct sockaddr_in *)&proxy.address)->sin_addr;
        relay.size = sizeof *at;
    } else if (reply[3] == 4) {
        struct sockaddr_in6 *at = (struct sockaddr_in6 *)&relay.address;
        hear(reply, 18);
        *at = (struct sockaddr_in6){.sin6_family = AF_INET6};
        memcpy(&at->sin6_addr, reply, 16);
        memcpy(&at->sin6_port, reply + 16, 2);
        relay.size = sizeof *at;
    } else fail("UDP ASSOCIATE: no address in the reply");
    return relay;
}

/* Opens the association, and the socket that belongs to it. */
static void associate(void)
{
    control = socket(proxy.address.ss_family, SOCK_STREAM, 0);
    struct timeval wait = {.tv_sec = DIALOGUE_S};
    setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    set_no_delay(control);
    if (connect(control, (struct sockaddr *)&proxy.address, proxy.size)) die("proxy");
    uint8_t method[2], request[3 + SOCKS_HEADER_MAX] = {5, 3, 0};
    say("\5\1\0", 3);
    hear(method, sizeof method);
    if (method[0] != 5 || method[1] != 0) fail("no method without a login");
    endpoint own = {.size = sizeof own.address};
    getsockname(control, (struct sockaddr *)&own.address, &own.size);
    set_port(&own, 0);
    if (bind(fd, (struct sockaddr *)&own.address, own.size)) die("bind");
    getsockname(fd, (struct sockaddr *)&own.address, &own.size);
    say(request, 3 + put_socks_address(request + 3, &own));
    endpoint relay = hear_reply();
    if (connect(fd, (struct sockaddr *)&relay.address, relay.size)) die("relay");
    header_size = 3 + put_socks_address(header + 3, &target);
}

static void write_stamp(uint8_t *datagram, uint64_t sequence, uint64_t at_ns)
{
    struct stamp stamp = {run, sequence, at_ns};
    memcpy(datagram + header_size, &stamp, sizeof stamp);
}

/* Answers how many went. */
static uint64_t send_some(uint64_t count)
{
    unsigned n = count < BATCH ? (unsigned)count : BATCH;
    uint64_t now = now_ns();
    for (unsigned i = 0; i < n; i++) write_stamp(outgoing[i], counts.sent + i, now);
    int sent = sendmmsg(fd, outgoing_batch, n, 0);
    if (sent < 0 && errno == ECONNREFUSED) fail("nobody listens at the relay");
    if (sent <= 0) {
        counts.unsent++;
        return 0;
    }
    counts.sent += (uint64_t)sent;
    return (uint64_t)sent;
}

/* Of a SOCKS datagram (RFC 1928, 7); more than there is when it is none. */
static size_t header_size_of(const uint8_t *datagram, size_t length)
{
    if (control < 0) return 0;
    if (length < 10 || datagram[2] != 0) return length + 1;
    return datagram[3] == 1 ? 10 : datagram[3] == 4 ? 22 : length + 1;
}

static void on_datagram(const uint8_t *datagram, size_t length, uint64_t now)
{
    struct stamp stamp;
    size_t skipped = header_size_of(datagram, length);
    if (skipped + size != length) {
        counts.corrupt++;
        return;
    }
    memcpy(&stamp, datagram + skipped, sizeof stamp);
    if (stamp.run < run && run - stamp.run < PARTS) return; /* late, of what was sent before */
    bool intact = !memcmp(datagram + skipped + sizeof stamp, pattern, size - sizeof stamp);
    if (!intact || stamp.run != run || stamp.sequence >= counts.sent) {
        counts.corrupt++;
        return;
    }
    uint8_t bit = (uint8_t)(1u << (stamp.sequence % 8)), *at = &seen[stamp.sequence / 8];
    if (*at & bit) {
        counts.duplicates++;
        return;
    }
    *at |= bit;
    counts.received++;
    last_received_ns = now;
    record(&latency, now - stamp.sent_ns);
}

static void receive_all(void)
{
    for (int n = BATCH; n == BATCH;) {
        n = recvmmsg(fd, incoming_batch, BATCH, MSG_DONTWAIT, NULL);
        uint64_t now = now_ns();
        for (int i = 0; i < n; i++) on_datagram(incoming[i], incoming_batch[i].msg_len, now);
    }
}

static void wait_for(uint64_t most_ns)
{
    struct epoll_event event;
    struct timespec wait = {.tv_nsec = (long)(most_ns < WAIT_MAX_NS ? most_ns : WAIT_MAX_NS)};
    if (epoll_pwait2(poller, &event, 1, &wait, NULL) <= 0) return;
    if (event.data.fd == fd) receive_all();
    else fail("the control connection was closed");
}

/* Datagrams go this way and come back before anything is measured. */
static void prove_path(void)
{
    for (int probe = 0; probe < PROBES_MAX && counts.received == 0; probe++) {
        send_some(1);
        uint64_t start = now_ns();
        while (counts.received == 0 && seconds_since(start) < PROBE_MS / 1e3) wait_for(WAIT_MAX_NS);
    }
    if (counts.received == 0) fail("no datagram comes back");
}

static void send_at(double rate, uint64_t start, uint64_t end)
{
    for (uint64_t now = start; now < end && !stopped; now = now_ns()) {
        double due = (double)(now - start) * rate / 1e9 - (double)counts.sent;
        if (due >= 1) send_some((uint64_t)due);
        double next_ns = (double)(counts.sent + 1) * 1e9 / rate - (double)(now_ns() - start);
        wait_for(next_ns > 0 ? (uint64_t)next_ns : 0);
    }
}

static void send_within(uint64_t window, uint64_t start, uint64_t end)
{
    uint64_t given_up = 0, heard_ns = start;
    for (uint64_t now = start; now < end && !stopped; now = now_ns()) {
        if (last_received_ns > heard_ns) heard_ns = last_received_ns;
        if ((double)(now - heard_ns) / 1e9 > LOST_S) {
            given_up = counts.sent - counts.received;
            heard_ns = now;
        }
        uint64_t missing = counts.sent - counts.received;
        if (given_up > missing) given_up = missing; /* late, not lost */
        uint64_t under_way = missing - given_up;
        if (under_way < window) send_some(window - under_way);
        wait_for(WAIT_MAX_NS);
    }
}

/* Sends for so long, then waits for what is still under way. */
static void load_for(double secs, double rate, uint64_t window)
{
    run++;
    memset(seen, 0, counts.sent / 8 + 1);
    memset(&counts, 0, sizeof counts);
    memset(&latency, 0, sizeof latency);
    uint64_t start = now_ns(), end = start + (uint64_t)(secs * 1e9);
    if (window > 0) send_within(window, start, end);
    else send_at(rate, start, end);
    sending_ended_ns = last_received_ns = now_ns();
    while (counts.received < counts.sent && seconds_since(last_received_ns) < LOST_S && !stopped) wait_for(WAIT_MAX_NS);
}

static void prepare(void)
{
    memset(pattern, 'Z', sizeof pattern);
    seen = calloc(SEQUENCES_MAX / 8, 1);
    fd = socket(proxy.address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    widen_receive_buffer(fd);
    for (int i = 0; i < BATCH; i++) {
        incoming_parts[i] = (struct iovec){incoming[i], DATAGRAM_MAX};
        incoming_batch[i].msg_hdr = (struct msghdr){.msg_iov = &incoming_parts[i], .msg_iovlen = 1};
        outgoing_parts[i] = (struct iovec){outgoing[i], 0};
        outgoing_batch[i].msg_hdr = (struct msghdr){.msg_iov = &outgoing_parts[i], .msg_iovlen = 1};
    }
}

static void write_headers(void)
{
    for (int i = 0; i < BATCH; i++) {
        memcpy(outgoing[i], header, header_size);
        memcpy(outgoing[i] + header_size, pattern, size);
        outgoing_parts[i].iov_len = header_size + size;
    }
}

static void watch(int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event);
}

int main(int argc, char **argv)
{
    const char *via = NULL, *to = NULL, *pids = NULL;
    double rate = 0, secs = 3, warm_s = 0.5;
    int window = 0;
    bool wrong = false;
    static const struct option options[] = {
        {"proxy", ANY_ARG, 0, 'p'}, {"target", ANY_ARG, 0, 't'}, {"size", ANY_ARG, 0, 'b'}, {"rate", ANY_ARG, 0, 'r'},
        {"window", ANY_ARG, 0, 'n'}, {"secs", ANY_ARG, 0, 's'}, {"warm", ANY_ARG, 0, 'w'}, {"pids", ANY_ARG, 0, 'i'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'p') via = optarg;
        else if (o == 't') to = optarg;
        else if (o == 'b') size = (size_t)atoi(optarg);
        else if (o == 'r') rate = atof(optarg);
        else if (o == 'n') window = atoi(optarg);
        else if (o == 's') secs = atof(optarg);
        else if (o == 'w') warm_s = atof(optarg);
        else if (o == 'i') pids = optarg;
        else wrong = true;
    }
    bool sizeable = size >= sizeof(struct stamp) && size + SOCKS_HEADER_MAX <= DATAGRAM_MAX;
    if (wrong || !to || !sizeable || (rate > 0) == (window > 0)) {
        fprintf(stderr, "socksudp [--proxy ADDRESS:PORT] --target ADDRESS:PORT --rate N | --window N [--size BYTES]\n"
                        "         [--secs S] [--warm S] [--pids A,B]\n");
        return 2;
    }
    stop_on_signals();
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
    target = parse_endpoint(to);
    proxy = via ? parse_endpoint(via) : target;
    poller = epoll_create1(0);
    prepare();
    if (via) associate();
    else if (connect(fd, (struct sockaddr *)&target.address, target.size)) die("target");
    write_headers();
    watch(fd);
    if (via) watch(control);
    run = now_ns() << 8;
    prove_path();
    load_for(warm_s, rate, (uint64_t)window);
    usage before = usage_of(pids);
    double own_before = own_cpu_s();
    uint64_t start = now_ns();
    load_for(secs, rate, (uint64_t)window);
    usage after = usage_of(pids);
    printf("{\"tool\":\"socksudp\",\"secs\":%.3f,\"done\":%llu,\"sent\":%llu,\"lost\":%llu,\"duplicates\":%llu,"
           "\"corrupt\":%llu,\"unsent\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"own_cpu_s\":%.2f,",
           (double)(sending_ended_ns - start) / 1e9, (unsigned long long)counts.received,
           (unsigned long long)counts.sent, (unsigned long long)(counts.sent - counts.received),
           (unsigned long long)counts.duplicates, (unsigned long long)counts.corrupt, (unsigned long long)counts.unsent,
           quantile_ms(&latency, 0.5), quantile_ms(&latency, 0.99), own_cpu_s() - own_before);
    print_usage(&before, &after);
    printf("}\n");
    return 0;
}
