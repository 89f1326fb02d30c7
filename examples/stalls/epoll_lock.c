/* A server on a bare epoll loop that counts its requests, and a thread that saves the count.
 *
 *     epoll_lock
 *
 * Both take one lock, and the thread keeps it while it writes to a slow disk (a sleep stands for
 * that). docs/stalls.md finds the loop in pthread_mutex_lock. */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 16, SAVE_MS = 60, REST_MS = 240 };

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t request_count, saved_count;
static volatile sig_atomic_t has_stopped;

static void rest(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static void *save_often(void *unused)
{
    (void)unused;
    for (;;) {
        pthread_mutex_lock(&count_lock);
        saved_count = request_count;
        rest(SAVE_MS); /* the disk */
        pthread_mutex_unlock(&count_lock);
        rest(REST_MS);
    }
    return NULL;
}

/* Not inlined, so that it has a frame of its own on the stack at any optimization. */
static __attribute__((noinline)) void count_request(void)
{
    pthread_mutex_lock(&count_lock);
    request_count++;
    pthread_mutex_unlock(&count_lock);
}

static __attribute__((noinline)) void on_request(int client)
{
    char request[512];
    if (read(client, request, sizeof request) > 0) {
        count_request();
        if (write(client, "counted\n", 8) < 0) perror("write");
    }
    close(client);
}

static void watch(int poller, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0) close(fd);
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) < 0) return -1;
    if (listen(listener, 64) < 0) return -1;
    getsockname(listener, (struct sockaddr *)&address, &len);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void on_signal(int number)
{
    (void)number;
    has_stopped = 1;
}

int main(void)
{
    int poller = epoll_create1(EPOLL_CLOEXEC), listener = listen_on_loopback();
    pthread_t saver;
    if (poller < 0 || listener < 0 || pthread_create(&saver, NULL, save_often, NULL) != 0) {
        perror("epoll_lock");
        return EXIT_FAILURE;
    }
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_signal }, NULL);
    watch(poller, listener);
    while (!has_stopped) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd != listener) {
                on_request(events[i].data.fd);
                continue;
            }
            int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (client >= 0) watch(poller, client);
        }
    }
    return EXIT_SUCCESS;
}
