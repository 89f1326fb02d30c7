/* What is built of several ops while something fails: streams, watches, timers of the other clocks.
 * */
#include "fault.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char message[] = "0123456789";
enum { LEN = sizeof message - 1 };

/* Two pairs: what is said to the first end is read at the second, spliced into the third and
 * arrives at the fourth. */
enum { ENDS = 4 };

static struct hark_stream streams[ENDS];
static struct hark_io ios[ENDS];

static bool open_streams(void)
{
    static char in[ENDS][64], out[ENDS][64];
    memset(ios, 0, sizeof ios);
    memset(streams, 0, sizeof streams);
    if (!open_pair(&ios[0]) || !open_pair(&ios[2])) return false;
    for (int i = 0; i < ENDS; i++) {
        struct hark_stream_options options = { .in = in[i], .in_bytes = sizeof in[i],
                                               .out = out[i], .out_bytes = sizeof out[i] };
        if (!is_well(hark_stream_open(&streams[i], &ios[i], &options))) return false;
    }
    return true;
}

static void close_streams(void)
{
    for (int i = 0; i < ENDS; i++) {
        if (streams[i].io == NULL) continue; /* close_ios() closes its io */
        struct ticket *closing = ticket_new("close of a stream");
        hark_stream_close(ticket_op(closing), &streams[i], on_ticket);
        for (int turns = 0; turns < 1000 && closing->ended == 0; turns++)
            (void)hark_step(loop, HARK_MILLISECOND); /* an error was injected, and comes once */
        if (closing->ended == 0) fail("a close of a stream never ends");
    }
    close_ios(ios, ENDS);
}

static bool brings(struct ticket *ticket, int64_t wanted)
{
    if (!await(ticket, 1)) return false;
    if (ticket->result != wanted) fail("%s: %lld", ticket->what, (long long)ticket->result);
    return true;
}

/* By the queue, whose errors the water tells, and by a write. */
static bool talk(void)
{
    static char got[LEN];
    struct ticket *water = ticket_new("water"), *line = ticket_new("a line");
    struct ticket *writing = ticket_new("a write"), *exactly = ticket_new("an exact read");
    hark_stream_water(ticket_op(water), &streams[0], on_ticket);
    hark_stream_read_line(ticket_op(line), &streams[1], on_ticket);
    if (!is_well(hark_stream_put(&streams[0], "hello\r\n", 7)) || !brings(line, 5)) return false;
    hark_stream_read_exactly(ticket_op(exactly), &streams[1], got, LEN, on_ticket);
    hark_stream_write(ticket_op(writing), &streams[0], message, LEN, on_ticket);
    if (!brings(writing, LEN) || !brings(exactly, LEN)) return false;
    if (memcmp(got, message, LEN) != 0) fail("other bytes were read");
    return true;
}

static void pass_on(void)
{
    static char got[LEN];
    struct ticket *splicing = ticket_new("splice"), *writing = ticket_new("a write");
    struct ticket *ending = ticket_new("an end"), *exactly = ticket_new("an exact read");
    hark_stream_splice(ticket_op(splicing), &streams[1], &streams[2], on_ticket);
    hark_stream_read_exactly(ticket_op(exactly), &streams[3], got, LEN, on_ticket);
    hark_stream_write(ticket_op(writing), &streams[0], message, LEN, on_ticket);
    hark_stream_end(ticket_op(ending), &streams[0], on_ticket);
    if (!brings(exactly, LEN) || !brings(ending, 0) || !brings(splicing, LEN)) return;
    if (memcmp(got, message, LEN) != 0) fail("other bytes were passed on");
}

void run_streams(void)
{
    if (open_streams() && talk()) pass_on();
    close_streams();
}

static void make_file(const char *path)
{
    inject_pause();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, message, LEN) != LEN) fail("no file");
    close(fd);
    inject_resume();
}

#ifdef HARK_WITH_KQUEUE
enum { NEWS_OF_A_FILE = 1, LAST_NEWS = HARK_WATCH_CREATED };
#else
enum { NEWS_OF_A_FILE = 3, LAST_NEWS = HARK_WATCH_WRITTEN };
#endif

/* A tree of two directories; a file comes into the lower one. */
void run_watch(void)
{
    enum { FOUND = 2 /* the lower one, and that the watch has started */ };
    enum { HEARD = FOUND + NEWS_OF_A_FILE };
    static struct hark_watch watch;
    const struct hark_watch_options options = { .is_recursive = true, .tells_existing = true };
    char root[] = "/tmp/hark-fault-XXXXXX", below[64], path[80];
    struct ticket *watching = ticket_new("watch");
    inject_pause();
    if (mkdtemp(root) == NULL) fail("no folder");
    snprintf(below, sizeof below, "%s/below", root);
    snprintf(path, sizeof path, "%s/file", below);
    if (mkdir(below, 0700) != 0) fail("no folder in it");
    inject_resume();
    hark_watch(ticket_op(watching), &watch, loop, root, &options, on_ticket);
    if (await(watching, FOUND)) {
        make_file(path);
        if (await(watching, HEARD) && watching->result != LAST_NEWS)
            fail("something else was heard");
        (void)hark_cancel(&watching->op);
        while (!has_trouble()) (void)await(watching, HEARD + 1);
    }
    inject_pause();
    (void)unlink(path); /* not there if it came to nothing */
    if (rmdir(below) != 0 || rmdir(root) != 0) fail("a folder is left");
    inject_resume();
    /* A watch that has met trouble may go on: that is for hark_loop_close(). */
}

void run_clocks(void)
{
    struct ticket *wall = ticket_new("a wall timer"), *boot = ticket_new("a boot timer");
    struct ticket *canceled = ticket_new("a canceled one"), *left = ticket_new("an abandoned one");
    int64_t now = hark_wall_now();
    hark_timer_wall(ticket_op(left), loop, now + 3600 * HARK_SECOND, on_ticket);
    hark_timer_wall(ticket_op(canceled), loop, now + 1800 * HARK_SECOND, on_ticket);
    hark_timer_wall(ticket_op(wall), loop, now + HARK_MILLISECOND, on_ticket);
    hark_timer_boot(ticket_op(boot), loop, hark_boot_now() + HARK_MILLISECOND, on_ticket);
    if (brings(wall, 0) && brings(boot, 0)) (void)hark_cancel(&canceled->op);
    /* The rest is for hark_loop_close(). */
}
