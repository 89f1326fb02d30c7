/* Terminals: how they treat keys, their size and its change, and their state put back at the end.
 *
 * To read and write one, hark_io_adopt() its descriptor (0 for stdin, be it a terminal, a pipe or a
 * file) and use hark_read() and hark_write() or a stream. O_NONBLOCK is never set on it, since the
 * shell has the same description; hark_io_release() gives it back at the end, unclosed.
 *
 * On Windows fd is a handle of a console, as an int, or 0 to 2: of its input or of its output, each
 * of which has modes of its own and is an io of its own. What is typed and shown is UTF-8 there,
 * too; a line ends with "\r\n", and one that begins with Ctrl-Z is an end. A mode that is set while
 * a line is half typed holds from the next one on; closing the io throws that line away. */
#ifndef HARK_TERMINAL_H
#define HARK_TERMINAL_H

#include <hark/loop.h>
#include <hark/op.h>
#include <hark/signal.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hark_terminal_mode {
    HARK_TERMINAL_AS_FOUND,  /* as it was before the first hark_terminal_mode() */
    HARK_TERMINAL_HIDDEN,    /* lines, not shown: for a password */
    HARK_TERMINAL_KEYS,      /* each key at once, not shown; Ctrl-C is still a signal */
    HARK_TERMINAL_RAW,       /* every byte as it comes, both ways: no signals, no line ends made */
};

struct hark_terminal_size { int columns, rows; };

/* What hark_terminal_resized() works with. */
struct hark_terminal_watch {
    const void *layer;               /* private */
    struct hark_terminal_size size;  /* to read in the callback: the new one */

    /* Private from here on. */
    struct hark_op *op, own;
    struct hark_signal signal;
    int fd, error;
};

/* Changes how a terminal treats keys. What it was at the first change is kept, and put back by
 * HARK_TERMINAL_AS_FOUND, hark_terminal_restore(), and at the program's exit.
 *
 * Result 0; HARK_ENOTTY: no terminal; HARK_EBADF; HARK_EIO: it is gone; HARK_EMFILE: eight others
 *        are changed already; HARK_EINVAL: no such mode.
 * Thread any, but only one at a time.
 */
HARK_API int hark_terminal_mode(int fd, enum hark_terminal_mode mode);

/* Puts all changed terminals back as they were found. May be called in a signal handler.
 *
 * Thread any
 */
HARK_API void hark_terminal_restore(void);

/* Has the terminals put back also when a signal ends the program: SIGINT, SIGTERM, SIGHUP, SIGQUIT
 * if nothing handles or ignores them; SIGSEGV, SIGBUS, SIGABRT before an earlier handler runs. On
 * Windows: Ctrl-C and its like for which hark has no listener, and a fault that nothing handles.
 *
 * is_on  false: the earlier handlers come back, where no other was set since.
 * Thread any, but only one at a time.
 */
HARK_API void hark_terminal_guard(bool is_on);

/* Tells how large a terminal is.
 *
 * Result 0; HARK_ENOTTY: no terminal; HARK_EBADF.
 * Thread any
 */
HARK_API int hark_terminal_size(int fd, struct hark_terminal_size *size);

/* Calls back whenever the size of a terminal has changed, until canceled: a repeating op. It looks
 * when SIGWINCH comes, which the system sends for the terminal that controls this program, if it is
 * in the foreground; changes in between are one. Windows sends none: it looks each quarter of a
 * second.
 *
 * watch  borrowed until the last callback.
 * Result 0, with `more`, and the size in watch; HARK_ENOTTY, HARK_EBADF, HARK_ECANCELED without.
 * Thread loop
 */
HARK_API void hark_terminal_resized(struct hark_op *op, struct hark_terminal_watch *watch,
                                    struct hark_loop *loop, int fd, hark_done_fn *done);

#define hark_terminal_resized(op, ...) (hark_terminal_resized)(hark_at(op, HARK_PLACE), __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
