/* Chooses where pulses come from.
 *
 *   a started command    the shim's page; if nobody writes there (a static program, Go, a changed
 *                        user), or no loop shows itself there, BPF or procfs too
 *   a pid                the page of a program that uses hark; else BPF; else procfs
 *
 * A program that uses hark exports its page, and that one is always looked for: hark's io_uring
 * loop is invisible to the shim. Where two sources know a thread, the exact one counts. */
#include "stalls/source.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MS(n) ((int64_t)(n) * 1000000)

enum { SEARCHES_MAX = 4 };

/* Go hands the work of a blocked thread to another one: a thread of it that does not wait is no
 * loop that is held. */
static bool is_go_program(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    Elf_Scn *section = NULL;
    size_t names;
    bool is_go = false;
    if (elf != NULL && elf_getshdrstrndx(elf, &names) != 0) names = 0;
    while (elf != NULL && !is_go && (section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) continue;
        const char *name = elf_strptr(elf, names, header.sh_name);
        is_go = name != NULL && strcmp(name, ".gopclntab") == 0;
    }
    if (elf != NULL) elf_end(elf);
    close(fd);
    return is_go;
}

static bool is_wanted(const struct source *source, enum watch_mode mode)
{
    return !source->has_mode || source->mode == mode;
}

/* A turn's beginning is known to half of it: with the return, within 3 ms of a threshold of 20. */
static int64_t look_period(const struct source *source) { return source->threshold_ns / 6; }

/* By the kernel's help, or else by looking. */
static int open_outside(struct source *source, char *why, size_t room)
{
    if (source->bpf != NULL || source->procfs != NULL) return 0;
    source->is_go = is_go_program(source->pid);
    if (is_wanted(source, WATCH_BPF)) {
        source->bpf = bpf_open(source->pid, source->threshold_ns, source->why_not_bpf,
                               sizeof source->why_not_bpf);
        if (source->bpf != NULL) return 0;
        if (source->has_mode) {
            snprintf(why, room, "%s", source->why_not_bpf);
            return -1;
        }
    }
    if (!is_wanted(source, WATCH_PROCFS)) return 0;
    source->procfs = procfs_open(source->pid, look_period(source), why, room);
    return source->procfs != NULL ? 0 : -1;
}

int source_open(struct source *source, struct beat *page, char *why, size_t room)
{
    source->page = page;
    if (!source->has_mode) source->mode = page != NULL ? WATCH_HEARTBEAT : WATCH_PROCFS;
    if (page != NULL) return 0;
    if (is_wanted(source, WATCH_HARK)) source->hark = beat_find(source->pid);
    if (source->hark != NULL) return 0;
    if (source->has_mode && source->mode == WATCH_HARK) {
        snprintf(why, room, "process %d exports no hark_heartbeats", (int)source->pid);
        return -1;
    }
    if (source->has_mode && source->mode == WATCH_HEARTBEAT) {
        snprintf(why, room, "heartbeats are preloaded: only into a command that is started here");
        return -1;
    }
    return open_outside(source, why, room);
}

void source_close(struct source *source)
{
    beat_close(source->page);
    beat_close(source->hark);
    bpf_close(source->bpf);
    procfs_close(source->procfs);
}

bool source_has_new_image(struct source *source)
{
    if (source->has_lost_shim) {
        source->has_lost_shim = false;
        return true;
    }
    if (source->page == NULL || beat_images(source->page) == source->image_count) return false;
    source->image_count = beat_images(source->page);
    beat_close(source->hark);
    source->hark = NULL;
    source->search_count = 0;
    return true;
}

/* An exec that ends in a program without the shim (a static one): the page is of no use
 * any more. */
static void note_leaving(struct source *source, int64_t now)
{
    if (source->page == NULL || !beat_is_leaving(source->page)) {
        source->leaving_ns = 0;
        return;
    }
    if (source->leaving_ns == 0) source->leaving_ns = now;
    if (now - source->leaving_ns < MS(300) || source->has_mode) return;
    beat_close(source->page);
    source->page = NULL;
    source->has_lost_shim = true;
    source->has_loop = false;
    source->search_count = 1;
    source->next_search_ns = now;
}

/* While no loop has shown itself: is there another way to see one? Asked rarely, since it reads the
 * program's symbols. */
static void search(struct source *source, int64_t now)
{
    static const int64_t pauses[SEARCHES_MAX] = { MS(50), MS(250), MS(700), MS(2000) };
    if (source->search_count == SEARCHES_MAX || now < source->next_search_ns) return;
    if (source->search_count > 0 && source->hark == NULL && is_wanted(source, WATCH_HARK))
        source->hark = beat_find(source->pid);
    char why[TEXT_ROOM];
    bool is_late = source->search_count >= 2 && !source->has_loop;
    if (is_late && source->hark == NULL && !source->has_mode)
        open_outside(source, why, sizeof why); /* if that fails, nothing is lost */
    source->next_search_ns = now + pauses[source->search_count++];
}

/* Adds those threads that are not there yet. */
static int merge(struct pulse *out, int count, const struct pulse *more, int more_count)
{
    int known = count;
    for (int i = 0; i < more_count && count < PULSES_MAX; i++) {
        bool is_new = true;
        for (int j = 0; j < known && is_new; j++) is_new = out[j].tid != more[i].tid;
        if (is_new) out[count++] = more[i];
    }
    return count;
}

static void note_mode(struct source *source, enum watch_mode mode, int count)
{
    if (count == 0) return;
    if (!source->has_loop && !source->has_mode) source->mode = mode;
    source->has_loop = true;
}

static int gather(struct source *source, int64_t now, struct pulse out[PULSES_MAX])
{
    struct pulse more[PULSES_MAX];
    int count = 0, got = 0;
    if (source->hark != NULL) {
        count = beat_read(source->hark, out, PULSES_MAX);
        note_mode(source, WATCH_HARK, count);
    }
    if (source->page != NULL && !beat_is_leaving(source->page)) {
        got = beat_read(source->page, more, PULSES_MAX);
        note_mode(source, WATCH_HEARTBEAT, got);
        count = merge(out, count, more, got);
    }
    if (source->is_go) return count;
    if (source->bpf != NULL) {
        got = bpf_read(source->bpf, more, PULSES_MAX);
        note_mode(source, WATCH_BPF, got);
        count = merge(out, count, more, got);
    }
    if (source->procfs != NULL) {
        got = procfs_read(source->procfs, now, more, PULSES_MAX);
        note_mode(source, WATCH_PROCFS, got);
        count = merge(out, count, more, got);
    }
    return count;
}

int source_read(struct source *source, int64_t now, struct pulse out[PULSES_MAX])
{
    note_leaving(source, now);
    search(source, now);
    return gather(source, now, out);
}

/* Asked while the thread is stopped, so nothing slow belongs here. */
bool source_is_held(struct source *source, pid_t tid, int64_t began_ns)
{
    struct pulse pulses[PULSES_MAX];
    if (source->procfs != NULL) return true; /* a stopped thread looks different from a held one */
    int count = gather(source, clock_read(), pulses);
    for (int i = 0; i < count; i++)
        if (pulses[i].tid == tid) return !pulses[i].is_waiting && pulses[i].since_ns == began_ns;
    return false;
}

void source_release(struct source *source, pid_t tid)
{
    if (source->page != NULL) beat_release(source->page, tid);
    if (source->bpf != NULL) bpf_release(source->bpf, tid);
}

int64_t source_period(const struct source *source)
{
    return source->procfs != NULL ? look_period(source) : source->threshold_ns / 4;
}

const char *source_text(const struct source *source)
{
    if (source->is_go)
        return "Go's runtime hands the work of a blocked thread to another: its threads are no "
               "loops that could stall";
    switch (source->mode) {
    case WATCH_HEARTBEAT:
        return "a preloaded library saw the calls of epoll, poll and select; not waits that bypass "
               "libc (liburing), nor child processes";
    case WATCH_HARK: return "the program's own hark loops told of each turn; other loops did not";
    case WATCH_BPF:
        return "the kernel told (BPF) of each wait in epoll and io_uring; not of loops on poll or "
               "select";
    case WATCH_PROCFS: break;
    }
    const char *but = source->why_not_bpf[0] != '\0' ? "; BPF was not used: " : "";
    return text_format("looked at /proc every %.1f ms; a turn that is not much longer than that "
                       "may be missed, its length is known to some ms%s%s",
                       (double)source_period(source) / 1e6, but, source->why_not_bpf);
}
