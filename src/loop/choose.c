/* Which kernel interface? A list tried in order; the only file that names a backend. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/loop.h"

extern const struct backend_ops select_backend, poll_backend, epoll_backend, kqueue_backend;
extern const struct backend_ops iocp_backend;
#ifdef HARK_WITH_URING
extern const struct backend_ops uring_backend;
#endif

/* Best first. */
static const struct backend_ops *const backends[] = {
#ifdef HARK_WITH_URING
    &uring_backend,
#endif
#ifdef HARK_WITH_EPOLL
    &epoll_backend,
#endif
#ifdef HARK_WITH_KQUEUE
    &kqueue_backend,
#endif
#ifdef HARK_WITH_IOCP
    &iocp_backend,
#else
    &poll_backend, &select_backend,
#endif
};

enum { BACKEND_COUNT = sizeof backends / sizeof backends[0], WHY_BYTES = 256 };

static const struct backend_ops *find(const char *name, size_t len)
{
    for (int i = 0; i < BACKEND_COUNT; i++)
        if (strlen(backends[i]->name) == len && memcmp(backends[i]->name, name, len) == 0)
            return backends[i];
    return NULL;
}

/* 0, or a negative errno with backend->ops NULL again. */
static int try_open(struct hark_loop *loop, const struct backend_ops *ops, char *why)
{
    *why = '\0';
    loop->backend.ops = ops;
    loop->backend.is_dated = false;
    int error = ops->open(&loop->backend, why, WHY_BYTES);
    if (error != 0) loop->backend.ops = NULL;
    return error;
}

/* Every name of the list must be known, also those behind the one that works: a typing error would
 * show only on the machine where it matters. */
static bool is_list_known(const char *list)
{
    for (const char *at = list;; at += strcspn(at, ",") + 1) {
        size_t len = strcspn(at, ",");
        if (find(at, len) == NULL) return false;
        if (at[len] == '\0') return true;
    }
}

/* An error that another backend would meet too; the others only mean "not this one". */
static bool is_general(int error) { return error == HARK_ENOMEM || error == HARK_EMFILE; }

static int choose_from_list(struct hark_loop *loop, const char *list)
{
    char why[WHY_BYTES];
    int last = HARK_ENOSYS;
    if (!is_list_known(list)) return HARK_EINVAL;
    for (const char *at = list;; at += strcspn(at, ",") + 1) {
        size_t len = strcspn(at, ",");
        int error = try_open(loop, find(at, len), why);
        if (error == 0) return 0;
        last = hark_error_from_os(-error);
        if (at[len] == '\0') break;
    }
    return is_general(last) ? last : HARK_ENOSYS;
}

/* A ring that lacks deferred completions (before Linux 6.1) works, but epoll is the better and the
 * better tried one there: it is passed over unless asked for by name. */
static int choose_best(struct hark_loop *loop)
{
    char why[WHY_BYTES];
    int last = HARK_ENOSYS;
    for (int i = 0; i < BACKEND_COUNT; i++) {
        int error = try_open(loop, backends[i], why);
        if (error == 0 && !loop->backend.is_dated) return 0;
        if (error == 0) {
            loop->backend.ops->close(&loop->backend);
            loop->backend.ops = NULL;
        } else {
            last = hark_error_from_os(-error);
        }
    }
    return is_general(last) ? last : HARK_ENOSYS;
}

int choose_backend(struct hark_loop *loop, const char *wanted)
{
    if (wanted == NULL) wanted = getenv("HARK_BACKEND");
    if (wanted == NULL || *wanted == '\0') return choose_best(loop);
    return choose_from_list(loop, wanted);
}

const char *hark_backend_name(size_t index)
{
    return index < BACKEND_COUNT ? backends[index]->name : NULL;
}

int hark_backend_probe(const char *name, char *why, size_t room_bytes)
{
    char text[WHY_BYTES];
    const struct backend_ops *ops = find(name, strlen(name));
    if (room_bytes != 0) *why = '\0';
    if (ops == NULL) {
        if (room_bytes != 0) snprintf(why, room_bytes, "no backend of this build has that name");
        return HARK_EINVAL;
    }
    static const struct hark_loop_options none;
    struct hark_loop *loop = loop_bare(&none);
    if (loop == NULL) return HARK_ENOMEM;
    int error = try_open(loop, ops, text);
    bool is_dated = loop->backend.is_dated;
    if (error == 0) loop->backend.ops->close(&loop->backend);
    loop_free(loop);
    if (room_bytes == 0) return hark_error_from_os(-error);
    if (error != 0 && *text == '\0') snprintf(text, sizeof text, "%s", strerror(-error));
    snprintf(why, room_bytes, "%s%s", text,
             is_dated ? "; passed over unless asked for, since it lacks deferred completions" : "");
    return hark_error_from_os(-error);
}
