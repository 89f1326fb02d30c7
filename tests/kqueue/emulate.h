/* What the parts of the emulated kqueue(2) know of each other; see emulate.c. */
#ifndef TESTS_KQUEUE_EMULATE_H
#define TESTS_KQUEUE_EMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/types.h>

enum { QUEUES_MAX = 1024, FDS_MAX = 65536, OTHERS_MAX = 4096, FILES_MAX = 64 };

/* A filter that has been added: what the kernels call a knote. */
struct note {
    bool is_used, is_enabled, is_active; /* active: to be reported, for notes without a source */
    bool is_file;                        /* of a file or directory, which epoll does not take */
    bool goes_second;                    /* the other side of its descriptor is reported first */
    int filter, source;                  /* a descriptor that tells when it happens, or -1 */
    int watch, above;                    /* inotify's number of its file, of the one above; or -1 */
    nlink_t links;                       /* that it had */
    unsigned flags, fflags;              /* as added */
    uintptr_t ident;
    int64_t data;
    void *udata;
};

struct queue {
    int fd;                       /* the epoll set that stands for it; 0: this place is free */
    int bell;                     /* an eventfd in it, rung while a note without source is active */
    int watcher;                  /* an inotify descriptor in it, once there is a vnode; or 0 */
    struct note *sides[2];        /* EVFILT_READ and EVFILT_WRITE, by descriptor */
    struct note others[OTHERS_MAX];
    int other_count;              /* places in it ever used */
    int files[FILES_MAX], file_count; /* descriptors of notes that are files */
};

/* Where epoll's report belongs: the descriptor of a side, an index into others, the bell, or
 * inotify. */
enum { TAG_FD, TAG_OTHER, TAG_BELL, TAG_WATCHER };
static inline uint64_t tag_of(uint64_t kind, uint64_t number) { return kind << 32 | number; }

/* emulate_source.c: notes that are neither of the two sides. 0 or an errno. */
int source_open(struct queue *queue, struct note *note, const struct kevent *change);
int source_change(struct note *note, const struct kevent *change);
void source_close(struct queue *queue, struct note *note);
bool source_take(struct queue *queue, struct note *note, struct kevent *event); /* false: nothing */
bool emulate_lacks(const char *what);                      /* by KQUEUE_LACKS */

/* emulate_vnode.c: the same for files. */
int vnode_open(struct queue *queue, struct note *note, const struct kevent *change);
void vnode_close(struct queue *queue, const struct note *note);
void vnode_read(struct queue *queue); /* what inotify tells becomes active notes */
bool vnode_take(struct note *note, struct kevent *event);
void vnode_forget(struct queue *queue, int fd);

/* emulate_side.c: the two sides of descriptors. */
int side_change(struct queue *queue, const struct kevent *change);
int side_harvest(struct queue *queue, const struct epoll_event *report, struct kevent *events,
                 int room);
bool side_files_are_active(struct queue *queue);
int side_files_harvest(struct queue *queue, struct kevent *events, int room);
void side_forget(struct queue *queue, int fd);

/* emulate_socket.c */
void socket_forget(int fd);

/* emulate.c */
bool note_apply(struct note *note, const struct kevent *change); /* what is the same for all */
void note_event(struct note *note, struct kevent *event);        /* and for a report */
void note_reported(struct note *note);                           /* EV_ONESHOT, EV_DISPATCH */
_Noreturn void emulate_refuse(const char *why);                  /* what is not modelled */

#endif
