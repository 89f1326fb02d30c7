/* The groups of promises: each is a file test_<group>.c with one function group_<group>(). */
#ifndef TESTS_PROMISE_GROUPS_H
#define TESTS_PROMISE_GROUPS_H

#include <check.h>

#define GROUPS(X) \
    X(callbacks) \
    X(recv) \
    X(send) \
    X(shutdown) \
    X(socket) \
    X(accept) \
    X(connect) \
    X(datagram) \
    X(batch) \
    X(multicast) \
    X(descriptors) \
    X(pool) \
    X(ready) \
    X(pipe) \
    X(stream) \
    X(stream_write) \
    X(splice) \
    X(terminal) \
    X(adopt) \
    X(starvation) \
    X(kernel) \
    X(choice) \
    X(traps) \
    X(cancel) \
    X(deadline) \
    X(order) \
    X(close) \
    X(turn) \
    X(time) \
    X(timer) \
    X(post) \
    X(memory) \
    X(offload) \
    X(dns) \
    X(hosts) \
    X(dial) \
    X(file) \
    X(send_file) \
    X(path) \
    X(file_fiber) \
    X(inspect) \
    X(alive) \
    X(fiber) \
    X(await) \
    X(stack) \
    X(scope) \
    X(sweep) \
    X(channel) \
    X(sync) \
    X(exercises) \
    X(stall) \
    X(stall_thread) \
    X(stall_watch) \
    X(process) \
    X(spawn) \
    X(reap) \
    X(signal) \
    X(drain) \
    X(misuse) \
    X(watch) \
    X(fork) \
    X(foreign) \
    X(wall) \
    X(systemd) \
    X(signals)

#define GROUP_DECLARATION(name) Suite *group_##name(void);
GROUPS(GROUP_DECLARATION)

#endif
