/* Reads heartbeats: from a page of ours that the shim writes, or out of the memory of a program
 * that uses hark and exports one. hark does not read the clock when a turn ends, unless asked: of
 * its page this file writes wants_end, which is there for that, and nothing else. */
#include "stalls/heartbeat.h"
#include "stalls/pulse.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stalls/maps.h"
#include "stalls/task.h"

enum { READS_MAX = 8 };

static const char symbol_name[] = "hark_heartbeats";

/* What is remembered of a slot of hark's. */
struct asked {
    int64_t since_ns;             /* of the turn whose end was asked for; 0: none */
    int64_t waits_since_ns;       /* of the wait that follows */
    uint64_t turn_count;          /* that waits_since_ns belongs to */
    uint32_t long_count;
    int64_t long_began_ns, long_ns;
};

struct beat {
    struct heartbeat_page *page;  /* ours; NULL: it lies in another process */
    int fd;
    pid_t pid;
    uint64_t address;
    struct heartbeat_page copy;
    struct asked asked[HEARTBEAT_SLOTS];
};

struct beat *beat_create(int64_t threshold_ns, char *path, size_t room)
{
    struct beat *beat = calloc(1, sizeof *beat);
    if (beat == NULL) return NULL;
    beat->fd = memfd_create("hark-heartbeats", MFD_CLOEXEC);
    void *page = MAP_FAILED;
    if (beat->fd >= 0 && ftruncate(beat->fd, sizeof *beat->page) == 0)
        page = mmap(NULL, sizeof *beat->page, PROT_READ | PROT_WRITE, MAP_SHARED, beat->fd, 0);
    if (page == MAP_FAILED) {
        if (beat->fd >= 0) close(beat->fd);
        free(beat);
        return NULL;
    }
    beat->page = page;
    beat->page->magic = HEARTBEAT_MAGIC;
    beat->page->version = HEARTBEAT_VERSION;
    beat->page->slot_count = HEARTBEAT_SLOTS;
    beat->page->threshold_ns = threshold_ns;
    snprintf(path, room, "/proc/%d/fd/%d", (int)getpid(), beat->fd);
    return beat;
}

void beat_claim(struct beat *beat)
{
    beat->page->pid = getpid();
}

void beat_close(struct beat *beat)
{
    if (beat == NULL) return;
    if (beat->page != NULL) {
        munmap(beat->page, sizeof *beat->page);
        close(beat->fd);
    }
    free(beat);
}

void beat_release(struct beat *beat, pid_t tid)
{
    for (int i = 0; i < HEARTBEAT_SLOTS; i++)
        if (beat->page->slots[i].tid == tid) beat->page->slots[i].tid = 0;
}

uint32_t beat_images(const struct beat *beat)
{
    return __atomic_load_n(&beat->page->image_count, __ATOMIC_ACQUIRE);
}

bool beat_is_leaving(const struct beat *beat)
{
    return __atomic_load_n(&beat->page->is_leaving, __ATOMIC_ACQUIRE) != 0;
}

/* The symbol's value in a file's table, relative to where the file's first segment is mapped. */
static uint64_t find_in_elf(Elf *elf)
{
    Elf_Scn *section = NULL;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL || header.sh_entsize == 0) continue;
        if (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) continue;
        Elf_Data *data = elf_getdata(section, NULL);
        int count = (int)(header.sh_size / header.sh_entsize);
        for (int i = 0; data != NULL && i < count; i++) {
            GElf_Sym symbol;
            if (gelf_getsym(data, i, &symbol) == NULL || symbol.st_value == 0) continue;
            const char *name = elf_strptr(elf, header.sh_link, symbol.st_name);
            if (name != NULL && strcmp(name, symbol_name) == 0) return symbol.st_value;
        }
    }
    return 0;
}

/* The address at which the file wants to be mapped: 0, except for programs at a fixed place. */
static uint64_t first_address(Elf *elf)
{
    size_t count;
    if (elf_getphdrnum(elf, &count) != 0) return 0;
    for (int i = 0; i < (int)count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, i, &header) != NULL && header.p_type == PT_LOAD)
            return header.p_vaddr - header.p_offset;
    }
    return 0;
}

static uint64_t find_in_file(int fd, uint64_t base)
{
    if (fd < 0) return 0;
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    uint64_t value = elf != NULL ? find_in_elf(elf) : 0;
    if (value != 0) value = value - first_address(elf) + base;
    if (elf != NULL) elf_end(elf);
    close(fd);
    return value;
}

/* Looks through the program itself and a shared libhark: nobody else has the symbol. */
static uint64_t find_address(pid_t pid)
{
    struct maps maps;
    struct mapping mapping;
    uint64_t address = 0;
    if (!maps_open(&maps, pid)) return 0;
    while (address == 0 && maps_next(&maps, &mapping)) {
        if (mapping.offset != 0) continue;
        if (mapping.is_program || strstr(mapping.path, "/libhark.") != NULL)
            address = find_in_file(maps_open_file(&maps, &mapping), mapping.start);
    }
    maps_close(&maps);
    return address;
}

/* False too if another program stands there by now: nothing may be written into that. */
static bool copy_page(struct beat *beat)
{
    return task_memory(beat->pid, beat->address, &beat->copy, sizeof beat->copy) &&
           beat->copy.magic == HEARTBEAT_MAGIC && beat->copy.version == HEARTBEAT_VERSION;
}

struct beat *beat_find(pid_t pid)
{
    uint64_t address = find_address(pid);
    struct beat *beat = address != 0 ? calloc(1, sizeof *beat) : NULL;
    if (beat == NULL) return NULL;
    beat->fd = -1;
    beat->pid = pid;
    beat->address = address;
    if (copy_page(beat)) return beat;
    free(beat);
    return NULL;
}

/* A copy that is of one moment: the writer changes since_ns with every state. */
static bool read_slot(struct beat *beat, int index, struct heartbeat *out)
{
    const struct heartbeat *slot = beat->page != NULL ? &beat->page->slots[index]
                                                      : &beat->copy.slots[index];
    static uint32_t order; /* what the thread sanitizer knows instead of a fence */
    for (int i = 0; i < READS_MAX; i++) {
        *out = *(const volatile struct heartbeat *)slot;
        (void)__atomic_fetch_add(&order, 0, __ATOMIC_ACQ_REL); /* the copy first, then the look */
        if (beat->page == NULL && !copy_page(beat)) return false;
        const volatile struct heartbeat *again = slot;
        if (again->since_ns == out->since_ns && again->is_waiting == out->is_waiting &&
            again->turn_count == out->turn_count && again->long_count == out->long_count)
            return out->tid > 0;
    }
    out->is_waiting = 0; /* it changes all the time, so it has just begun whatever it does */
    out->since_ns = clock_read();
    return out->tid > 0;
}

enum { ASKS_AFTER_NS = 2000000 }; /* of a turn: shorter ones are no stalls at any threshold */

/* Asks for the end of the turn that a slot is in. False: it was over before the question came. */
static bool ask_for_end(struct beat *beat, int index, int64_t since_ns)
{
    uint32_t one = 1;
    uint64_t at = beat->address + offsetof(struct heartbeat_page, slots) +
                  (uint64_t)index * sizeof(struct heartbeat) +
                  offsetof(struct heartbeat, wants_end);
    struct iovec here = { &one, sizeof one }, there = { (void *)(uintptr_t)at, sizeof one };
    if (process_vm_writev(beat->pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof one) return false;
    const struct heartbeat *slot = &beat->copy.slots[index];
    return copy_page(beat) && slot->is_waiting == 0 && slot->since_ns == since_ns;
}

/* An answer is of the turn that was asked about, unless a later one gave it: a question that comes
 * too late stays until the next end, and another reader may take one away. */
static void take_answer(struct asked *asked, const struct heartbeat *slot)
{
    if (asked->since_ns == 0 || slot->wants_end != 0) return;
    bool is_later = slot->since_ns != asked->since_ns && slot->ended_ns > slot->since_ns;
    if (slot->ended_ns >= asked->since_ns && !is_later) {
        asked->long_began_ns = asked->since_ns;
        asked->long_ns = slot->ended_ns - asked->since_ns;
        asked->long_count++;
    }
    asked->since_ns = 0;
}

/* hark's way: the end of a long turn is asked for while it lasts, and told when it is over. */
static void note_asked(struct beat *beat, int index, const struct heartbeat *slot,
                       struct pulse *pulse)
{
    struct asked *asked = &beat->asked[index];
    int64_t now = clock_read();
    take_answer(asked, slot);
    bool is_long = slot->is_waiting == 0 && now - slot->since_ns > ASKS_AFTER_NS;
    if (is_long && asked->since_ns != slot->since_ns && ask_for_end(beat, index, slot->since_ns))
        asked->since_ns = slot->since_ns;
    if (slot->is_waiting != 0 &&
        (asked->turn_count != slot->turn_count || asked->waits_since_ns == 0)) {
        asked->turn_count = slot->turn_count;
        asked->waits_since_ns = slot->ended_ns > slot->since_ns ? slot->ended_ns : now;
    }
    if (slot->is_waiting != 0) pulse->since_ns = asked->waits_since_ns;
    pulse->long_count = asked->long_count;
    pulse->long_began_ns = asked->long_began_ns;
    pulse->long_ns = asked->long_ns;
    pulse->is_counting = asked->long_count != 0;
}

int beat_read(struct beat *beat, struct pulse *out, int room)
{
    if (beat->page == NULL && !copy_page(beat)) return 0;
    const struct heartbeat_page *page = beat->page != NULL ? beat->page : &beat->copy;
    int count = 0;
    bool has_epoll = false;
    for (int i = 0; i < HEARTBEAT_SLOTS && count < room; i++) {
        struct heartbeat slot;
        if (page->slots[i].tid <= 0 || !read_slot(beat, i, &slot)) continue;
        if (slot.main_fd >= 0) has_epoll = true;
        out[count] = (struct pulse){
            .tid = slot.tid, .main_fd = slot.main_fd, .is_waiting = slot.is_waiting != 0,
            .since_ns = slot.since_ns, .turn_count = slot.turn_count,
            .long_count = slot.long_count, .long_began_ns = slot.long_began_ns,
            .long_ns = slot.long_ns, .is_counting = page->threshold_ns != 0,
        };
        if (beat->page == NULL) note_asked(beat, i, &slot, &out[count]);
        count++;
    }
    /* A thread that polls in a program with a loop is that loop's helper (a resolver, a client). */
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (beat->page == NULL || !has_epoll || out[i].main_fd >= 0) out[kept++] = out[i];
    return kept;
}
