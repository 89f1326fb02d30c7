/* Files: ops on one have no order, so what a read finds may be any of what was written there while
 * it waited, or before it and not covered since. Every write follows a pattern of its own. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

enum file_verb {
    FILE_OPEN = FAMILY_VERBS + 16, FILE_READ, FILE_READV, FILE_WRITE, FILE_WRITEV, FILE_SYNC,
    FILE_STAT, FILE_CLOSE,
};

enum { DOCUMENTS = 2, DOCUMENT_BYTES = 8192, VERSIONS = 48, STILL_ALIVE = 0 };

/* A write, from its submission to its callback, in numbers of the world. */
struct version { uint64_t begun, ended; size_t at, len; bool is_none; };

struct document {
    struct hark_file file;
    enum state state;
    bool is_opening, was_open;
    char path[64];
    unsigned char base[DOCUMENT_BYTES];   /* below all versions */
    struct version versions[VERSIONS];
    size_t version_count;
};

static struct document *documents[DOCUMENTS];

static void make_document(int place)
{
    struct document *document = documents[place] = calloc(1, sizeof *document);
    if (document == NULL) fail("out of memory");
    document->state = CLOSED;
    snprintf(document->path, sizeof document->path, "%s-file%d", world.directory, place);
    for (size_t i = 0; i < DOCUMENT_BYTES; i++) document->base[i] = pattern(world.seed, i);
    int fd = checked(open(document->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), "a file");
    if (write(fd, document->base, DOCUMENT_BYTES) != DOCUMENT_BYTES) fail("a file is cut short");
    close(fd);
}

static bool covers(const struct version *version, size_t position)
{
    return !version->is_none && position >= version->at && position - version->at < version->len;
}

/* Had another write come between, and ended, before the read that began at `since`? */
static bool is_covered(const struct document *document, uint64_t ended, size_t position,
                       uint64_t since)
{
    for (size_t i = 0; i < document->version_count; i++) {
        const struct version *other = &document->versions[i];
        if (!covers(other, position) || other->ended == STILL_ALIVE) continue;
        if (other->begun > ended && other->ended < since) return true;
    }
    return false;
}

static bool is_possible(const struct document *document, size_t position, unsigned char byte,
                        uint64_t since)
{
    for (size_t i = document->version_count; i-- > 0;) {
        const struct version *version = &document->versions[i];
        if (!covers(version, position) || byte != pattern(version->begun, position)) continue;
        uint64_t ended = version->ended == STILL_ALIVE ? UINT64_MAX : version->ended;
        if (!is_covered(document, ended, position, since)) return true;
    }
    return byte == document->base[position] && !is_covered(document, 0, position, since);
}

/* Reads all of it by itself; when nobody else does anything to it, that is the new base. */
static void look_at(struct document *document, bool is_base)
{
    unsigned char now[DOCUMENT_BYTES];
    int fd = checked(open(document->path, O_RDONLY | O_CLOEXEC), "a file");
    if (pread(fd, now, sizeof now, 0) != DOCUMENT_BYTES) fail("a file has lost its end");
    close(fd);
    for (size_t i = 0; i < DOCUMENT_BYTES; i++)
        if (!is_possible(document, i, now[i], world.next_number))
            fail("a file holds at %zu what nobody has written there", i);
    if (!is_base) return;
    memcpy(document->base, now, sizeof now);
    document->version_count = 0;
}

static struct slot *begin(struct document *document, int verb)
{
    struct slot *slot = slot_prepare(&files, verb, document);
    if (slot == NULL) return NULL;
    slot->was_closed = world.is_closing || document->state != OPEN || document->is_opening;
    slot->place = below(one_in(8) ? DOCUMENT_BYTES + 100 : DOCUMENT_BYTES - BYTES_MAX);
    return slot;
}

static void cut(struct slot *slot)
{
    size_t half = below((uint32_t)slot->len + 1);
    slot->slices[0] = (struct iovec){ slot->buf, half };
    slot->slices[1] = (struct iovec){ slot->buf + half, slot->len - half };
}

static void submit_read(struct document *document)
{
    struct slot *slot = begin(document, one_in(3) ? FILE_READV : FILE_READ);
    if (slot == NULL) return;
    int64_t offset = (int64_t)slot->place;
    slot_take_buffer(slot, some_length());
    cut(slot);
    if (slot->verb == FILE_READ)
        hark_file_read(&slot->op, &document->file, slot->buf, slot->len, offset, model_called);
    else hark_file_readv(&slot->op, &document->file, slot->slices, 2, offset, model_called);
}

/* Within the file, whose length stays. */
static void submit_write(struct document *document)
{
    if (document->version_count == VERSIONS && !family_uses(&files, document))
        look_at(document, true);
    if (document->version_count == VERSIONS) return;
    struct slot *slot = begin(document, one_in(3) ? FILE_WRITEV : FILE_WRITE);
    if (slot == NULL) return;
    slot->place = below(DOCUMENT_BYTES - BYTES_MAX);
    slot_take_buffer(slot, some_length());
    for (size_t i = 0; i < slot->len; i++) slot->buf[i] = pattern(slot->number, slot->place + i);
    document->versions[document->version_count++] = (struct version){
        .begun = slot->number, .ended = STILL_ALIVE, .at = slot->place, .len = slot->len,
    };
    int64_t offset = (int64_t)slot->place;
    cut(slot);
    if (slot->verb == FILE_WRITE)
        hark_file_write(&slot->op, &document->file, slot->buf, slot->len, offset, model_called);
    else hark_file_writev(&slot->op, &document->file, slot->slices, 2, offset, model_called);
}

static void submit_other(struct document *document)
{
    struct slot *slot = begin(document, one_in(2) ? FILE_SYNC : FILE_STAT);
    if (slot == NULL) return;
    if (slot->verb == FILE_STAT) {
        struct statx *out = slot_take_memory(slot, sizeof *out);
        hark_file_stat(&slot->op, &document->file, out, model_called);
    } else if (one_in(2)) {
        hark_file_sync(&slot->op, &document->file, model_called);
    } else {
        hark_file_datasync(&slot->op, &document->file, model_called);
    }
}

/* An absent one, now and then. */
static void submit_open(struct document *document)
{
    if (document->state != CLOSED || document->is_opening) return;
    struct slot *slot = begin(document, FILE_OPEN);
    if (slot == NULL) return;
    slot->was_closed = world.is_closing;
    slot->place = one_in(8);
    document->is_opening = document->was_open = true;
    hark_file_open(&slot->op, &document->file, world.loop,
                   slot->place ? "/nowhere/at/all" : document->path, O_RDWR, 0, model_called);
}

static void submit_close(struct document *document)
{
    struct slot *slot = begin(document, FILE_CLOSE);
    if (slot == NULL) return;
    slot->is_close = true;
    slot->deadline = 0;
    if (document->state == OPEN) document->state = CLOSING;
    hark_file_close(&slot->op, &document->file, model_called);
}

static void check_read(struct slot *slot)
{
    const struct document *document = slot->subject;
    size_t left = slot->place < DOCUMENT_BYTES ? DOCUMENT_BYTES - slot->place : 0;
    if (slot->op.result != (int64_t)(slot->len < left ? slot->len : left))
        wrong(slot, "not as much as the file holds");
    for (size_t i = 0; i < (size_t)slot->op.result; i++)
        if (!is_possible(document, slot->place + i, slot->buf[i], slot->number))
            wrong(slot, "a byte that nobody has written there");
}

/* In every case: one that did not go has written nothing. */
static void check_write(struct slot *slot)
{
    struct document *document = slot->subject;
    bool is_done = slot->op.result >= 0;
    if (is_done && slot->op.result != (int64_t)slot->len) wrong(slot, "not all was written");
    for (size_t i = 0; i < document->version_count; i++) {
        struct version *version = &document->versions[i];
        if (version->begun != slot->number) continue;
        version->ended = world.next_number++;
        version->is_none = !is_done;
        return;
    }
    wrong(slot, "a write is unknown");
}

static void check_open(struct slot *slot, bool is_decision)
{
    struct document *document = slot->subject;
    document->is_opening = false;
    if (slot->op.result == 0) document->state = OPEN;
    if (is_decision) return;
    if (slot->op.result != (slot->place ? HARK_ENOENT : 0)) wrong(slot, "an open cannot say that");
}

static void check_close(struct slot *slot)
{
    struct document *document = slot->subject;
    if (slot->was_closed) {
        if (slot->op.result != HARK_EBADF && slot->op.result != HARK_ECANCELED)
            wrong(slot, "a file was closed twice");
        return;
    }
    if (slot->op.result != 0) wrong(slot, "a close of a file cannot say that");
    for (int i = 0; i < SLOTS; i++) {
        const struct slot *other = world.slots[i];
        if (other == NULL || other == slot || !other->is_alive || other->was_closed) continue;
        if (other->family == &files && other->subject == document &&
            other->number < slot->number) wrong(slot, "promise 7: an op outlives its file");
    }
    if (document->file.fd >= 0) wrong(slot, "promise 7: the file is still open");
    document->state = CLOSED;
}

static void check(struct slot *slot, bool is_decision)
{
    bool is_write = slot->verb == FILE_WRITE || slot->verb == FILE_WRITEV;
    const struct statx *out = slot->memory;
    if (is_write) check_write(slot);
    if (slot->verb == FILE_OPEN) check_open(slot, is_decision);
    if (slot->verb == FILE_CLOSE) check_close(slot);
    if (slot->verb == FILE_OPEN || slot->verb == FILE_CLOSE || is_decision) return;
    if (slot->was_closed) {
        if (slot->op.result != HARK_EBADF) wrong(slot, "a closed file works");
        return;
    }
    if (slot->op.result < 0) wrong(slot, "an op on a file cannot say that");
    if (slot->verb == FILE_READ || slot->verb == FILE_READV) check_read(slot);
    if (slot->verb == FILE_STAT && out->stx_size != DOCUMENT_BYTES) wrong(slot, "a wrong size");
}

static void act_on_files(void)
{
    int place = (int)below(DOCUMENTS);
    if (documents[place] == NULL) make_document(place);
    struct document *document = documents[place];
    uint32_t choice = below(100);
    if (choice < 10 || !document->was_open) submit_open(document);
    else if (choice < 50) submit_read(document);
    else if (choice < 85) submit_write(document);
    else if (choice < 95) submit_other(document);
    else if (choice < 98) submit_close(document);
    else look_at(document, false);
}

static bool is_due(const struct slot *slot)
{
    (void)slot;
    return true; /* a disk keeps nobody waiting */
}

static void help(void) {} /* files have no peers */

static size_t audit(void)
{
    size_t open_count = 0;
    for (int i = 0; i < DOCUMENTS; i++) {
        if (documents[i] == NULL) continue;
        look_at(documents[i], !family_uses(&files, documents[i]));
        open_count += documents[i]->state == OPEN || documents[i]->state == CLOSING;
    }
    return open_count;
}

static void wind_up(void)
{
    for (int i = 0; i < DOCUMENTS; i++)
        if (documents[i] != NULL && documents[i]->state == OPEN) submit_close(documents[i]);
}

static void clear(void)
{
    for (int i = 0; i < DOCUMENTS; i++) {
        if (documents[i] == NULL) continue;
        look_at(documents[i], true);
        unlink(documents[i]->path);
        free(documents[i]);
        documents[i] = NULL;
    }
}

const struct family files = {
    .act = act_on_files, .is_due = is_due, .check = check, .help = help, .audit = audit,
    .wind_up = wind_up, .clear = clear,
};
