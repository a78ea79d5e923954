/*
 * TLS handshakes as load: full, or resumed with sessions that were made at --to and are offered to
 * --then. A connection ends when the handshake has, and in TLS 1.3 when the new ticket is there,
 * which is what a client that comes again waits for.
 */
#include "bench.h"
#include <openssl/err.h>
#include <openssl/ssl.h>

enum step { GOES_ON, DONE, FAILED };
#define EVENTS 256
#define SESSIONS_MAX 1000
#define TICKET_NS (3 * NS_PER_S) /* a server that sends no ticket within it sends none */
#define FAILURES_MAX 200

struct connection {
    int fd;
    SSL *ssl;
    SSL_SESSION *ticket;
    uint64_t start, finished; /* finished: 0 until the handshake is */
};

static SSL_CTX *context;
static int own_index, poller, version = TLS1_3_VERSION;
static bool awaits_ticket = true;
static const char *server_name;
static uint32_t sources, next_source;
static SSL_SESSION *sessions[SESSIONS_MAX];
static int session_count;
static uint64_t done, resumed, failures, without_ticket;
static histogram handshake, until_ticket;
static char first_error[160];

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct connection *c = SSL_get_ex_data(ssl, own_index);
    SSL_SESSION_free(c->ticket);
    c->ticket = session;
    return 1;
}

static void note_failure(const char *what)
{
    failures++;
    unsigned long code = ERR_get_error();
    if (!*first_error) {
        char reason[120] = "";
        if (code) ERR_error_string_n(code, reason, sizeof reason);
        snprintf(first_error, sizeof first_error, "%s: %s", what, code ? reason : strerror(errno));
    }
    ERR_clear_error();
}

static void end(struct connection *c)
{
    if (c->ssl) {
        /* Without it OpenSSL takes the session for one of a broken connection, and spoils it. */
        if (c->finished) SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    if (c->fd >= 0) close(c->fd);
    SSL_SESSION_free(c->ticket);
    ERR_clear_error();
    *c = (struct connection){.fd = -1};
}

/* The next of 127.1.0.0/16: servers count what comes from one address. */
static void bind_source(int fd)
{
    int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f010001u + next_source++ % sources);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) die("bind");
}

static bool begin(struct connection *c, const endpoint *to, SSL_SESSION *session)
{
    *c = (struct connection){.start = now_ns(), .fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    if (c->fd < 0) die("socket");
    set_no_delay(c->fd);
    if (sources) bind_source(c->fd);
    if (connect(c->fd, (const struct sockaddr *)&to->address, to->size) && errno != EINPROGRESS) {
        note_failure("connect");
        end(c);
        return false;
    }
    c->ssl = SSL_new(context);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_ex_data(c->ssl, own_index, c);
    if (server_name) SSL_set_tlsext_host_name(c->ssl, server_name);
    if (session) SSL_set_session(c->ssl, session);
    SSL_set_connect_state(c->ssl);
    return true;
}

static bool wants_more(SSL *ssl, int result)
{
    int error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static enum step step(struct connection *c)
{
    ERR_clear_error();
    errno = 0;
    if (!c->finished) {
        int result = SSL_do_handshake(c->ssl);
        if (result != 1) {
            if (wants_more(c->ssl, result)) return GOES_ON;
            note_failure("handshake");
            return FAILED;
        }
        c->finished = now_ns();
    }
    if (!awaits_ticket) return DONE;
    char byte;
    int result = SSL_read(c->ssl, &byte, 1);
    if (c->ticket) return DONE;
    return wants_more(c->ssl, result) ? GOES_ON : DONE;
}

/* One connection after the other, until there are enough sessions. */
static void collect_sessions(const endpoint *from, int wanted)
{
    for (int try = 0; try < 2 * wanted && session_count < wanted && !stopped; try++) {
        struct connection c;
        if (!begin(&c, from, NULL)) continue;
        while (step(&c) == GOES_ON && now_ns() - c.start < TICKET_NS) {
            struct pollfd wait = {c.fd, (short)(c.finished ? POLLIN : POLLIN | POLLOUT), 0};
            poll(&wait, 1, 20);
        }
        SSL_SESSION *session = c.ticket ? c.ticket : c.finished ? SSL_get1_session(c.ssl) : NULL;
        c.ticket = NULL;
        if (session && SSL_SESSION_is_resumable(session)) sessions[session_count++] = session;
        else SSL_SESSION_free(session);
        end(&c);
    }
}

static void begin_next(struct connection *c, const endpoint *to)
{
    static unsigned turn;
    SSL_SESSION *session = NULL;
    /* OpenSSL marks a session of TLS 1.3 as used up once it was offered: offer copies. */
    if (session_count) session = SSL_SESSION_dup(sessions[turn++ % (unsigned)session_count]);
    if (begin(c, to, session)) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    }
    SSL_SESSION_free(session);
}

static void count(struct connection *c)
{
    done++;
    resumed += (uint64_t)SSL_session_reused(c->ssl);
    without_ticket += awaits_ticket && !c->ticket;
    record(&handshake, c->finished - c->start);
    record(&until_ticket, now_ns() - c->start);
}

static void run_for(struct connection *all, int concurrency, const endpoint *to, double secs)
{
    uint64_t start = now_ns();
    struct epoll_event events[EVENTS];
    while (!stopped && seconds_since(start) < secs) {
        int n = epoll_wait(poller, events, EVENTS, 50);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            enum step now = c->ssl ? step(c) : GOES_ON;
            if (now == GOES_ON) continue;
            if (now == DONE) count(c);
            end(c);
            begin_next(c, to);
        }
        for (int i = 0; i < concurrency; i++) {
            struct connection *c = &all[i];
            if (!c->ssl) begin_next(c, to);
            else if (c->finished && now_ns() - c->finished > TICKET_NS) count(c), end(c), begin_next(c, to);
        }
        if (failures > FAILURES_MAX && failures > done) stopped = 1;
    }
}

static void make_context(bool tickets, const char *groups, const char *protocol)
{
    context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    if (!tickets && version == TLS1_2_VERSION) SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    if (groups && !SSL_CTX_set1_groups_list(context, groups)) die("--groups");
    if (protocol) {
        uint8_t list[256] = {(uint8_t)strlen(protocol)};
        memcpy(list + 1, protocol, list[0]);
        SSL_CTX_set_alpn_protos(context, list, list[0] + 1u);
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    own_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

int main(int argc, char **argv)
{
    const char *to = NULL, *then = NULL, *groups = NULL, *protocol = NULL, *pids = NULL;
    int concurrency = 8, wanted = 0;
    double secs = 3, warm_s = 0.5;
    bool wrong = false, tickets = true, no_ticket = false;
    static const struct option options[] = {
        {"to", ANY_ARG, 0, 't'}, {"then", ANY_ARG, 0, 'n'}, {"version", ANY_ARG, 0, 'v'}, {"sessions", ANY_ARG, 0, 'r'},
        {"session-ids", no_argument, 0, 'd'}, {"no-ticket", no_argument, 0, 'k'}, {"conc", ANY_ARG, 0, 'c'}, {"secs", ANY_ARG, 0, 's'}, {"warm", ANY_ARG, 0, 'w'},
        {"name", ANY_ARG, 0, 'm'}, {"alpn", ANY_ARG, 0, 'l'}, {"groups", ANY_ARG, 0, 'g'}, {"sources", ANY_ARG, 0, 'u'},
        {"pids", ANY_ARG, 0, 'i'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 't') to = optarg;
        else if (o == 'n') then = optarg;
        else if (o == 'v' && !strcmp(optarg, "1.2")) version = TLS1_2_VERSION;
        else if (o == 'v' && !strcmp(optarg, "1.3")) version = TLS1_3_VERSION;
        else if (o == 'r') wanted = atoi(optarg);
        else if (o == 'd') tickets = false;
        else if (o == 'k') no_ticket = true;
        else if (o == 'c') concurrency = atoi(optarg);
        else if (o == 's') secs = atof(optarg);
        else if (o == 'w') warm_s = atof(optarg);
        else if (o == 'm') server_name = optarg;
        else if (o == 'l') protocol = optarg;
        else if (o == 'g') groups = optarg;
        else if (o == 'u') sources = (uint32_t)atoi(optarg);
        else if (o == 'i') pids = optarg;
        else wrong = true;
    }
    if (wrong || !to || concurrency < 1 || wanted < 0 || wanted > SESSIONS_MAX || sources > 60000) {
        fprintf(stderr, "tlsrate --to ADDRESS:PORT [--version 1.2|1.3] [--sessions N [--then ADDRESS:PORT] [--session-ids] [--no-ticket]]\n"
                        "        [--conc N] [--secs S] [--warm S] [--name HOST] [--alpn P] [--groups L] [--sources N] [--pids A,B]\n"
                        "--sessions: resume that many, made at --to, at --then. --session-ids: TLS 1.2 without tickets.\n"
                        "--no-ticket: the server gives none after a resumption: end with the handshake.\n"
                        "--sources: come from that many addresses of 127.1.0.0/16.\n");
        return 2;
    }
    stop_on_signals();
    raise_descriptors();
    make_context(tickets, groups, protocol);
    endpoint first = parse_endpoint(to), second = parse_endpoint(then ? then : to);
    awaits_ticket = version == TLS1_3_VERSION;
    collect_sessions(&first, wanted);
    awaits_ticket = awaits_ticket && !no_ticket;
    if (session_count < wanted) {
        fprintf(stderr, "%d of %d sessions %s\n", session_count, wanted, first_error);
        return 3;
    }
    poller = epoll_create1(0);
    struct connection *all = calloc((size_t)concurrency, sizeof *all);
    for (int i = 0; i < concurrency; i++) begin_next(&all[i], &second);
    run_for(all, concurrency, &second, warm_s);
    done = resumed = failures = without_ticket = 0;
    memset(&handshake, 0, sizeof handshake);
    memset(&until_ticket, 0, sizeof until_ticket);
    usage before = usage_of(pids);
    double own_before = own_cpu_s();
    uint64_t start = now_ns();
    run_for(all, concurrency, &second, secs);
    double elapsed_s = seconds_since(start);
    usage after = usage_of(pids);
    printf("{\"tool\":\"tlsrate\",\"secs\":%.3f,\"done\":%llu,\"resumed\":%llu,\"failures\":%llu,\"without_ticket\":%llu,"
           "\"first_error\":\"%s\",\"handshake_p50_ms\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"own_cpu_s\":%.2f,",
           elapsed_s, (unsigned long long)done, (unsigned long long)resumed, (unsigned long long)failures,
           (unsigned long long)without_ticket, first_error, quantile_ms(&handshake, 0.5),
           quantile_ms(&until_ticket, 0.5), quantile_ms(&until_ticket, 0.99), own_cpu_s() - own_before);
    print_usage(&before, &after);
    printf("}\n");
    return 0;
}
