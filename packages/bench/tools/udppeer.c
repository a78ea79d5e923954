/* The destination of datagrams: sends each back to where it came from. Runs until a signal. */
#include "bench.h"

#define BATCH 64
#define DATAGRAM_MAX 2048

static uint8_t buffers[BATCH][DATAGRAM_MAX];
static struct sockaddr_storage senders[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr batch[BATCH];

int main(int argc, char **argv)
{
    const char *address = NULL;
    bool wrong = false;
    static const struct option options[] = {{"listen", ANY_ARG, 0, 'l'}, {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'l') address = optarg;
        else wrong = true;
    }
    if (wrong || !address) {
        fprintf(stderr, "udppeer --listen ADDRESS:PORT\n");
        return 2;
    }
    stop_on_signals();
    endpoint at = parse_endpoint(address);
    int fd = socket(at.address.ss_family, SOCK_DGRAM, 0);
    widen_receive_buffer(fd);
    if (bind(fd, (struct sockaddr *)&at.address, at.size)) die(address);
    uint64_t received = 0, unsent = 0;
    while (!stopped) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){buffers[i], DATAGRAM_MAX};
            batch[i].msg_hdr = (struct msghdr){
                .msg_name = &senders[i], .msg_namelen = sizeof senders[i], .msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int n = recvmmsg(fd, batch, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++) parts[i].iov_len = batch[i].msg_len;
        for (int at_ = 0; at_ < n;) {
            int sent = sendmmsg(fd, batch + at_, (unsigned)(n - at_), 0);
            if (sent <= 0) unsent++;
            at_ += sent > 0 ? sent : 1;
        }
        if (n > 0) received += (uint64_t)n;
    }
    printf("{\"tool\":\"udppeer\",\"received\":%llu,\"unsent\":%llu}\n", (unsigned long long)received,
           (unsigned long long)unsent);
    return 0;
}
