/* The cost of giving one message to many TCP sockets by the ways that Linux offers: the
 * measurements of docs/why-not.md.
 *
 *     cc -O2 -o send_paths benches/send_paths/send_paths.c
 *     ./send_paths WAY SOCKETS BYTES TURNS
 *
 * | way           | calls for each turn                                                   |
 * |---------------|-----------------------------------------------------------------------|
 * | send          | one send(2) for each socket: what yamabiko does                       |
 * | copy          | header and payload are copied together first, for each socket         |
 * | slices        | header and payload are two slices of one sendmsg(2)                   |
 * | zerocopy      | as send, with MSG_ZEROCOPY, and one read of the error queue each      |
 * | sendfile      | one sendfile(2) for each socket, from a file in memory                |
 * | tee           | one vmsplice(2), then tee(2) and splice(2) for each socket            |
 * | uring         | a send for each socket, all submitted by one io_uring_enter(2)        |
 * | uring-skip    | the same on registered files, without a completion for each send      |
 * | uring-zc      | as uring, zero-copy from a registered buffer                          |
 * | uring-sqpoll  | as uring, submitted by a thread of the kernel                         |
 *
 * A turn sends BYTES to each socket, and waits until a second process has received all of
 * them. That process discards the bytes in the kernel (MSG_TRUNC), so that it is not the
 * bottleneck. The sender runs on core 0, the receiver on core 1. The result is the CPU time of
 * the sender, with its threads in the kernel, for each delivery: on the loopback interface it
 * contains the receiver's share of TCP.
 *
 * Where it stops: a send that is not complete at once, or fails, ends the program; so SOCKETS
 * times BYTES is limited by the sockets' buffers. The first tenth of the turns is not measured.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Of Linux 6.6, newer than many headers. */
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

static void check(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void pin(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    check(sched_setaffinity(0, sizeof cores, &cores) == 0, "sched_setaffinity");
}

/* Receives until the sender has gone, and reports each turn by one byte. */
static void receive_all(const int *sockets, int count, size_t turn_bytes, int report) {
    pin(1);
    int epoll = epoll_create1(0);
    for (int index = 0; index < count; index++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = sockets[index]};
        check(epoll_ctl(epoll, EPOLL_CTL_ADD, sockets[index], &event) == 0, "epoll_ctl");
    }
    size_t received = 0;
    struct epoll_event events[1024];
    for (;;) {
        int ready = epoll_wait(epoll, events, 1024, -1);
        for (int index = 0; index < ready; index++) {
            ssize_t bytes = recv(events[index].data.fd, NULL, 1 << 20, MSG_TRUNC | MSG_DONTWAIT);
            if (bytes == 0) {
                exit(0);
            }
            received += bytes > 0 ? (size_t)bytes : 0;
        }
        for (; received >= turn_bytes; received -= turn_bytes) {
            check(write(report, "", 1) == 1, "report");
        }
    }
}

/* ---- io_uring without a library -------------------------------------------------------- */

struct ring {
    int fd;
    unsigned entries;
    _Atomic unsigned *sq_tail, *sq_flags, *cq_head, *cq_tail;
    unsigned sq_mask, cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    int polls;
};

static struct ring ring_of(unsigned entries, int polls) {
    struct io_uring_params params = {0};
    params.flags = polls ? IORING_SETUP_SQPOLL
                         : IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    params.flags |= IORING_SETUP_CQSIZE | IORING_SETUP_NO_SQARRAY;
    params.cq_entries = 4 * entries;
    params.sq_thread_idle = 1000;
    struct ring ring = {.polls = polls};
    ring.fd = (int)syscall(SYS_io_uring_setup, entries, &params);
    check(ring.fd >= 0, "io_uring_setup");
    size_t bytes = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    char *queues = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
                        IORING_OFF_SQ_RING);
    check(queues != MAP_FAILED, "mmap");
    ring.sqes = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe),
                     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, IORING_OFF_SQES);
    check(ring.sqes != MAP_FAILED, "mmap");
    ring.entries = params.sq_entries;
    ring.sq_tail = (void *)(queues + params.sq_off.tail);
    ring.sq_flags = (void *)(queues + params.sq_off.flags);
    ring.sq_mask = params.sq_entries - 1;
    ring.cq_head = (void *)(queues + params.cq_off.head);
    ring.cq_tail = (void *)(queues + params.cq_off.tail);
    ring.cq_mask = params.cq_entries - 1;
    ring.cqes = (void *)(queues + params.cq_off.cqes);
    return ring;
}

static struct io_uring_sqe *next_sqe(struct ring *ring, unsigned ahead) {
    unsigned tail = atomic_load_explicit(ring->sq_tail, memory_order_relaxed);
    struct io_uring_sqe *sqe = &ring->sqes[(tail + ahead) & ring->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    return sqe;
}

static void submit(struct ring *ring, unsigned count, unsigned wait) {
    atomic_fetch_add_explicit(ring->sq_tail, count, memory_order_release);
    unsigned flags = IORING_ENTER_GETEVENTS;
    if (ring->polls) {
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load(ring->sq_flags) & IORING_SQ_NEED_WAKEUP) {
            flags |= IORING_ENTER_SQ_WAKEUP;
        }
        count = 0;
    }
    long done = syscall(SYS_io_uring_enter, ring->fd, count, wait, flags, NULL, 0);
    check(done >= 0, "io_uring_enter");
}

/* Takes the completions. A send that was not complete ends the program. Returns how many sends
 * are complete; a zero-copy send has a second completion, which is counted in `released`. */
static unsigned take_completions(struct ring *ring, long bytes, unsigned *released) {
    unsigned head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);
    unsigned tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);
    unsigned complete = 0;
    for (; head != tail; head++) {
        struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
        if (cqe->flags & IORING_CQE_F_NOTIF) {
            *released += 1;
        } else {
            errno = cqe->res < 0 ? -cqe->res : EAGAIN;
            check(cqe->res == bytes, "send of a ring");
            complete += 1;
        }
    }
    atomic_store_explicit(ring->cq_head, head, memory_order_release);
    return complete;
}

/* ---- the ways ---------------------------------------------------------------------------- */

#define HEADER_BYTES 4

struct fan_out {
    int *sockets;
    int count;
    char *message, *frame;
    size_t bytes; // at least HEADER_BYTES
    int file;
    int pipes[2][2];
    struct ring ring;
    unsigned long copied;
};

static void by_send(struct fan_out *it) {
    for (int index = 0; index < it->count; index++) {
        ssize_t sent = send(it->sockets[index], it->message, it->bytes, MSG_NOSIGNAL);
        check(sent == (ssize_t)it->bytes, "send");
    }
}

/* As a library sends a message of its application: header and payload lie apart. */
static void by_copy(struct fan_out *it) {
    for (int index = 0; index < it->count; index++) {
        memcpy(it->frame, it->message, HEADER_BYTES);
        memcpy(it->frame + HEADER_BYTES, it->message + HEADER_BYTES, it->bytes - HEADER_BYTES);
        ssize_t sent = send(it->sockets[index], it->frame, it->bytes, MSG_NOSIGNAL);
        check(sent == (ssize_t)it->bytes, "send");
    }
}

static void by_slices(struct fan_out *it) {
    struct iovec slices[] = {
        {.iov_base = it->message, .iov_len = HEADER_BYTES},
        {.iov_base = it->message + HEADER_BYTES, .iov_len = it->bytes - HEADER_BYTES},
    };
    struct msghdr both = {.msg_iov = slices, .msg_iovlen = 2};
    for (int index = 0; index < it->count; index++) {
        ssize_t sent = sendmsg(it->sockets[index], &both, MSG_NOSIGNAL);
        check(sent == (ssize_t)it->bytes, "sendmsg");
    }
}

static void by_zerocopy(struct fan_out *it) {
    for (int index = 0; index < it->count; index++) {
        int flags = MSG_NOSIGNAL | MSG_ZEROCOPY;
        ssize_t sent = send(it->sockets[index], it->message, it->bytes, flags);
        check(sent == (ssize_t)it->bytes, "send");
    }
}

/* The message may be overwritten when all of its notifications have been read. */
static void read_notifications(struct fan_out *it) {
    for (int index = 0; index < it->count; index++) {
        char control[128];
        struct msghdr header = {.msg_control = control, .msg_controllen = sizeof control};
        while (recvmsg(it->sockets[index], &header, MSG_ERRQUEUE) < 0) {
            check(errno == EAGAIN, "recvmsg");
        }
        struct cmsghdr *first = CMSG_FIRSTHDR(&header);
        struct sock_extended_err *error = (void *)CMSG_DATA(first);
        it->copied += error->ee_code & SO_EE_CODE_ZEROCOPY_COPIED;
    }
}

static void by_sendfile(struct fan_out *it) {
    for (int index = 0; index < it->count; index++) {
        off_t offset = 0;
        ssize_t sent = sendfile(it->sockets[index], it->file, &offset, it->bytes);
        check(sent == (ssize_t)it->bytes, "sendfile");
    }
}

static void by_tee(struct fan_out *it) {
    struct iovec whole = {.iov_base = it->message, .iov_len = it->bytes};
    check(vmsplice(it->pipes[0][1], &whole, 1, 0) == (ssize_t)it->bytes, "vmsplice");
    for (int index = 0; index < it->count; index++) {
        int source = it->pipes[0][0];
        if (index + 1 < it->count) {
            source = it->pipes[1][0];
            ssize_t teed = tee(it->pipes[0][0], it->pipes[1][1], it->bytes, 0);
            check(teed == (ssize_t)it->bytes, "tee");
        }
        ssize_t sent = splice(source, NULL, it->sockets[index], NULL, it->bytes, 0);
        check(sent == (ssize_t)it->bytes, "splice");
    }
}

enum ring_way { EACH, SKIP, ZEROCOPY };

static void by_ring(struct fan_out *it, enum ring_way way) {
    unsigned released = 0, awaited = 0;
    for (int index = 0; index < it->count;) {
        unsigned batch = 0;
        for (; index < it->count && batch < it->ring.entries; index++, batch++) {
            struct io_uring_sqe *sqe = next_sqe(&it->ring, batch);
            sqe->opcode = way == ZEROCOPY ? IORING_OP_SEND_ZC : IORING_OP_SEND;
            sqe->fd = it->sockets[index];
            sqe->addr = (uintptr_t)it->message;
            sqe->len = (unsigned)it->bytes;
            sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
            if (way == SKIP) {
                sqe->fd = index;
                sqe->flags = IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
            }
            if (way == ZEROCOPY) {
                sqe->ioprio = IORING_RECVSEND_FIXED_BUF;
            }
        }
        submit(&it->ring, batch, way == SKIP ? 0 : batch);
        awaited += way == SKIP ? 0 : batch;
        while (awaited > 0) {
            awaited -= take_completions(&it->ring, (long)it->bytes, &released);
            if (awaited > 0) {
                submit(&it->ring, 0, 1);
            }
        }
    }
    // A send that failed has a completion, although successful ones have none.
    take_completions(&it->ring, (long)it->bytes, &released);
    while (way == ZEROCOPY && released < (unsigned)it->count) {
        take_completions(&it->ring, (long)it->bytes, &released);
        if (released < (unsigned)it->count) {
            submit(&it->ring, 0, 1);
        }
    }
}

/* A turn, up to the receipt of all its bytes. */
static void turn(struct fan_out *it, const char *way, int reports) {
    char received;
    if (!strcmp(way, "send")) {
        by_send(it);
    } else if (!strcmp(way, "copy")) {
        by_copy(it);
    } else if (!strcmp(way, "slices")) {
        by_slices(it);
    } else if (!strcmp(way, "zerocopy")) {
        by_zerocopy(it);
    } else if (!strcmp(way, "sendfile")) {
        by_sendfile(it);
    } else if (!strcmp(way, "tee")) {
        by_tee(it);
    } else if (!strcmp(way, "uring-skip")) {
        by_ring(it, SKIP);
    } else {
        by_ring(it, !strcmp(way, "uring-zc") ? ZEROCOPY : EACH);
    }
    check(read(reports, &received, 1) == 1, "report");
    if (!strcmp(way, "zerocopy")) {
        read_notifications(it);
    }
}

static void prepare(struct fan_out *it, const char *way) {
    int on = 1;
    if (!strcmp(way, "zerocopy")) {
        for (int index = 0; index < it->count; index++) {
            int set = setsockopt(it->sockets[index], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on);
            check(set == 0, "SO_ZEROCOPY");
        }
    }
    it->file = memfd_create("message", 0);
    check(write(it->file, it->message, it->bytes) == (ssize_t)it->bytes, "memfd");
    for (int index = 0; index < 2; index++) {
        check(pipe(it->pipes[index]) == 0, "pipe");
        fcntl(it->pipes[index][0], F_SETPIPE_SZ, 1 << 20);
    }
    if (strncmp(way, "uring", 5)) {
        return;
    }
    it->ring = ring_of(1024, !strcmp(way, "uring-sqpoll"));
    if (!strcmp(way, "uring-skip")) {
        long done = syscall(SYS_io_uring_register, it->ring.fd, IORING_REGISTER_FILES,
                            it->sockets, it->count);
        check(done == 0, "IORING_REGISTER_FILES");
    }
    if (!strcmp(way, "uring-zc")) {
        struct iovec whole = {.iov_base = it->message, .iov_len = it->bytes};
        long done =
            syscall(SYS_io_uring_register, it->ring.fd, IORING_REGISTER_BUFFERS, &whole, 1);
        check(done == 0, "IORING_REGISTER_BUFFERS");
    }
}

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static double wall_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Connects the pairs of sockets through the loopback interface. */
static void connect_all(int *senders, int *receivers, int count) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(listener, (void *)&address, length) == 0 && listen(listener, 4096) == 0, "listen");
    getsockname(listener, (void *)&address, &length);
    for (int index = 0; index < count; index++) {
        receivers[index] = socket(AF_INET, SOCK_STREAM, 0);
        check(receivers[index] >= 0, "socket");
        check(connect(receivers[index], (void *)&address, length) == 0, "connect");
        senders[index] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        check(senders[index] >= 0, "accept");
        setsockopt(senders[index], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    close(listener);
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: send_paths WAY SOCKETS BYTES TURNS\n");
        return 2;
    }
    const char *way = arguments[1];
    struct fan_out it = {.count = atoi(arguments[2]), .bytes = (size_t)atol(arguments[3])};
    int turns = atoi(arguments[4]), reports[2];
    it.sockets = calloc((size_t)it.count, sizeof(int));
    int *receivers = calloc((size_t)it.count, sizeof(int));
    it.message = mmap(NULL, (it.bytes + 4095) & ~(size_t)4095, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    memset(it.message, 'x', it.bytes);
    it.frame = malloc(it.bytes);
    check(it.bytes >= HEADER_BYTES && it.frame != NULL, "BYTES");
    check(pipe(reports) == 0, "pipe");
    connect_all(it.sockets, receivers, it.count);
    if (fork() == 0) {
        for (int index = 0; index < it.count; index++) {
            close(it.sockets[index]);
        }
        receive_all(receivers, it.count, (size_t)it.count * it.bytes, reports[1]);
    }
    pin(0);
    for (int index = 0; index < it.count; index++) {
        close(receivers[index]);
    }
    prepare(&it, way);
    for (int index = 0; index < turns / 10; index++) {
        turn(&it, way, reports[0]);
    }
    double cpu = cpu_seconds(), wall = wall_seconds();
    for (int index = 0; index < turns; index++) {
        turn(&it, way, reports[0]);
    }
    cpu = cpu_seconds() - cpu;
    wall = wall_seconds() - wall;
    double deliveries = (double)turns * it.count;
    printf("%-13s %6d sockets %7zu bytes  %7.3f us of CPU a delivery  %7.3f us of time", way,
           it.count, it.bytes, 1e6 * cpu / deliveries, 1e6 * wall / deliveries);
    printf(it.copied ? "  %lu copied\n" : "\n", it.copied);
    return 0;
}
