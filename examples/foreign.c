/* A foreign library's descriptor in a hark loop: tells what happens in a directory.
 *
 *     foreign [DIRECTORY]
 *
 * inotify(7) stands for every library that has a descriptor and a function to call when that is
 * readable: a database client, a message bus, a sound server. The library reads by itself, in a
 * format of its own; hark_ready() waits and moves no data. */
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "example.h"

struct watcher {
    struct hark_io io;
    struct hark_op op;
};

static void print_event(const struct inotify_event *event)
{
    static const struct { uint32_t bit; const char *word; } words[] = {
        { IN_CREATE, "created" }, { IN_CLOSE_WRITE, "written" }, { IN_DELETE, "deleted" },
        { IN_MOVED_FROM, "moved away" }, { IN_MOVED_TO, "moved here" },
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (event->mask & words[i].bit) printf("%s %s\n", words[i].word, event->name);
    if (event->mask & IN_Q_OVERFLOW) printf("too much at once: some was missed\n");
}

/* The foreign side: called when the descriptor is readable. False: nothing is left to watch. */
static bool dispatch(int fd)
{
    _Alignas(struct inotify_event) char buf[4096];
    ssize_t len = read(fd, buf, sizeof buf);
    const struct inotify_event *event;
    bool goes_on = len >= 0;
    for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof *event + event->len)) {
        event = (const void *)(buf + at);
        print_event(event);
        if (event->mask & IN_IGNORED) goes_on = false; /* the directory itself is gone */
    }
    fflush(stdout);
    return goes_on;
}

static void on_closed(struct hark_op *op) { (void)op; /* the watcher is not on the heap */ }

static void on_readable(struct hark_op *op)
{
    struct watcher *watcher = op->user;
    if (op->result < 0 || !dispatch(watcher->io.fd)) {
        hark_close(op, &watcher->io, on_closed); /* the last op: hark_run() ends */
        return;
    }
    hark_ready(op, &watcher->io, HARK_READABLE, on_readable);
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : ".";
    struct watcher watcher = { .op.user = &watcher };
    struct hark_loop *loop = example_open();
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    uint32_t mask = IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVE | IN_ONLYDIR;
    if (fd < 0 || inotify_add_watch(fd, directory, mask) < 0) {
        perror(directory);
        return 1;
    }
    example_require(hark_io_adopt(&watcher.io, loop, fd), "adopt"); /* hark closes it now */
    printf("watching %s\n", directory);
    fflush(stdout);
    hark_ready(&watcher.op, &watcher.io, HARK_READABLE, on_readable);
    return example_run(loop);
}
