/* Sleeps in a callback of a loop by hand; linked with the detector, it ends by SIGABRT. */
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static void end_well(int number)
{
    (void)number;
    _exit(0);
}

int main(void)
{
    struct epoll_event event;
    struct timespec moment = { 0, 1 };
    int fd = epoll_create1(0);
    setenv("HARK_BLOCKING", "fail", 1);
    signal(SIGABRT, end_well);
    epoll_wait(fd, &event, 1, 1);
    nanosleep(&moment, NULL);
    return 1;
}
