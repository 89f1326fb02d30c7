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
    X(pool) \
    X(ready) \
    X(adopt) \
    X(starvation) \
    X(kernel) \
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
    X(inspect) \
    X(alive) \
    X(misuse) \
    X(signals)

#define GROUP_DECLARATION(name) Suite *group_##name(void);
GROUPS(GROUP_DECLARATION)

#endif
