// Holds a loop in C++: names with a namespace, a class and a template. kinds_cc LOOP COUNT DELAY_MS
#include <cstdlib>
#include <ctime>
#include <sys/epoll.h>
#include <unistd.h>

namespace shop {
template <typename Row>
struct Table {
    __attribute__((noinline)) void hold_sleep(Row ms)
    {
        timespec time = { 0, ms * 1000000L };
        nanosleep(&time, nullptr); // sleep
        asm volatile("" ::: "memory");
    }
};
}

int main(int, char **argv)
{
    epoll_event event;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    shop::Table<int> table;
    epoll_wait(fd, &event, 1, std::atoi(argv[3]));
    for (int i = 0; i < std::atoi(argv[2]); i++) {
        table.hold_sleep(80);
        epoll_wait(fd, &event, 1, 30);
    }
    close(fd);
}
