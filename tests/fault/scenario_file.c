/* Files while something fails: opened, written, read, sent and closed. */
#include "fault.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { BYTES = 1000 };

/* A close has no failure that leaves the file open. */
static void close_file(struct hark_file *file)
{
    if (!hark_file_is_open(file)) return;
    struct ticket *closing = ticket_new("close of a file");
    hark_file_close(ticket_op(closing), file, on_ticket);
    for (int turns = 0; turns < 1000 && closing->ended == 0; turns++)
        (void)hark_step(loop, HARK_MILLISECOND); /* an error was injected, and comes once */
    if (closing->ended == 0) fail("a close of a file never ends");
}

static bool is_moved(struct ticket *ticket)
{
    if (!await(ticket, 1)) return false;
    if (ticket->result != BYTES) fail("%s: %lld bytes", ticket->what, (long long)ticket->result);
    return true;
}

static void use(struct hark_file *file, struct hark_io *io)
{
    static char out[BYTES], in[BYTES];
    static struct hark_range range;
    struct ticket *writing = ticket_new("write"), *reading = ticket_new("read");
    struct ticket *sending = ticket_new("send file"), *getting = ticket_new("recv");
    memset(out, 'x', sizeof out);
    hark_file_write(ticket_op(writing), file, out, BYTES, 0, on_ticket);
    if (!is_moved(writing)) return;
    hark_file_read(ticket_op(reading), file, in, BYTES, 0, on_ticket);
    if (!is_moved(reading)) return;
    if (memcmp(out, in, BYTES) != 0) fail("other bytes were read");
    range = (struct hark_range){ .file = file, .len = BYTES };
    getting->op.deadline_ns = hark_after(loop, 2 * HARK_SECOND);
    hark_recv(ticket_op(getting), &io[1], in, BYTES, on_ticket);
    hark_send_file(ticket_op(sending), &io[0], &range, on_ticket);
    if (is_moved(sending)) (void)await(getting, 1); /* what fails then is told */
    if (getting->ended == 0) (void)hark_cancel(&getting->op);
}

bool open_pair(struct hark_io pair[2])
{
    int fds[2];
    inject_pause();
    int failed = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
    inject_resume();
    if (failed) fail("socketpair");
    for (int i = 0; i < 2; i++) {
        if (hark_io_adopt(&pair[i], loop, fds[i]) == 0) continue;
        inject_pause();
        for (; i < 2; i++) close(fds[i]);
        inject_resume();
        note_trouble();
        return false;
    }
    return true;
}

void run_files(void)
{
    struct hark_io ios[2] = { { 0 } };
    static struct hark_file file;
    file = (struct hark_file){ 0 };
    if (open_pair(ios)) {
        struct ticket *opening = ticket_new("open");
        hark_file_open(ticket_op(opening), &file, loop, "/tmp", O_TMPFILE | O_RDWR, 0600,
                       on_ticket);
        if (await(opening, 1)) use(&file, ios);
    }
    close_ios(ios, 2);
    close_file(&file);
}
