/* Keeps stalls: each stack once, each stall in some hundred bytes, and groups with the same cause.
 *
 * A program that stalls all day must not fill the watcher's memory: beyond RECORDS_MAX, or where
 * STACKS_MAX leaves no room for its stack, a stall only counts in its group. */
#include <stdlib.h>
#include <string.h>

#include "stalls/report_parts.h"

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* Text is interned: the same text has the same address. */
static uint64_t mix_frame(uint64_t hash, const struct frame *frame)
{
    hash = mix(hash, (uintptr_t)frame->function);
    hash = mix(hash, (uintptr_t)frame->file);
    hash = mix(hash, (uintptr_t)frame->module);
    return mix(hash, (uint64_t)frame->line << 32 ^ frame->offset);
}

static bool is_same_frame(const struct frame *a, const struct frame *b)
{
    return a->kind == b->kind && a->is_runtime == b->is_runtime && a->function == b->function &&
           a->file == b->file && a->line == b->line && a->module == b->module &&
           a->offset == b->offset;
}

/* Makes room for one more of an array; false: no memory. */
static bool grow(void **array, size_t *room, size_t count, size_t size)
{
    if (count < *room) return true;
    size_t wanted = *room ? *room * 2 : 64;
    void *grown = realloc(*array, wanted * size);
    if (grown == NULL) return false;
    *array = grown;
    *room = wanted;
    return true;
}

static const struct kept_stack *find_stack(struct kept_stack *at, const struct stack *stack)
{
    for (; at != NULL; at = at->next) {
        if (at->count != stack->count) continue;
        int i = 0;
        while (i < at->count && is_same_frame(&at->frames[i], &stack->frames[i])) i++;
        if (i == at->count) return at;
    }
    return NULL;
}

/* Writes a stack where it lies until the next one. */
static const struct kept_stack *spare_stack(struct report *report, const struct stack *stack)
{
    struct kept_stack *spare = report->spare;
    if (spare == NULL) spare = calloc(1, sizeof *spare + sizeof stack->frames);
    if (spare == NULL) return NULL;
    report->spare = spare;
    spare->count = stack->count;
    memcpy(spare->frames, stack->frames, (size_t)stack->count * sizeof *stack->frames);
    return spare;
}

static const struct kept_stack *keep_stack(struct report *report, const struct stack *stack,
                                           bool is_wanted)
{
    uint64_t hash = (uint64_t)stack->count;
    for (int i = 0; i < stack->count; i++) hash = mix_frame(hash, &stack->frames[i]);
    struct kept_stack **bucket = &report->stack_buckets[hash % STACK_BUCKETS];
    const struct kept_stack *found = find_stack(*bucket, stack);
    if (found != NULL) return found;
    if (report->stack_count >= STACKS_MAX && !is_wanted) return spare_stack(report, stack);
    size_t room = (size_t)report->stack_room, bytes = (size_t)stack->count * sizeof(struct frame);
    void *array = report->stacks;
    if (!grow(&array, &room, (size_t)report->stack_count, sizeof *report->stacks)) return NULL;
    report->stacks = array;
    report->stack_room = (int)room;
    struct kept_stack *kept = malloc(sizeof *kept + bytes);
    if (kept == NULL) return NULL;
    kept->number = report->stack_count;
    kept->count = stack->count;
    memcpy(kept->frames, stack->frames, bytes);
    kept->next = *bucket;
    *bucket = kept;
    report->stacks[report->stack_count++] = kept;
    return kept;
}

const struct frame *record_guilty(const struct record *record)
{
    if (record->guilty < 0 || record->guilty >= record->stack->count) return NULL;
    return &record->stack->frames[record->guilty];
}

/* A wait stands at one line, and two waits in a function are two causes; a computation wanders over
 * the lines of its function, or over the addresses of its module where no names are. */
static bool is_same_cause(const struct record *a, const struct record *b)
{
    const struct frame *one = record_guilty(a), *other = record_guilty(b);
    if (a->call_name != b->call_name || (one == NULL) != (other == NULL)) return false;
    if (one == NULL) return a->kind == b->kind;
    if (one->kind != other->kind || one->function != other->function) return false;
    if (one->file != other->file || one->module != other->module) return false;
    bool has_place = one->file != NULL;
    return a->call_name == NULL ||
           (has_place ? one->line == other->line : one->offset == other->offset);
}

static uint64_t hash_cause(const struct record *record)
{
    const struct frame *frame = record_guilty(record);
    uint64_t hash = mix(7, (uintptr_t)record->call_name);
    if (frame == NULL) return mix(hash, record->kind);
    return mix(mix(hash, (uintptr_t)frame->function), (uintptr_t)frame->file);
}

static struct group *find_group(struct report *report, const struct record *record)
{
    int i = report->group_buckets[hash_cause(record) % GROUP_BUCKETS];
    while (i >= 0 && !is_same_cause(&report->groups[i].worst, record)) i = report->groups[i].next;
    return i >= 0 ? &report->groups[i] : NULL;
}

static struct group *add_group(struct report *report, const struct record *record)
{
    int *bucket = &report->group_buckets[hash_cause(record) % GROUP_BUCKETS];
    size_t room = (size_t)report->group_room;
    void *array = report->groups;
    if (!grow(&array, &room, (size_t)report->group_count, sizeof *report->groups)) return NULL;
    report->groups = array;
    report->group_room = (int)room;
    struct group *group = &report->groups[report->group_count];
    *group = (struct group){ .next = *bucket, .worst = *record };
    *bucket = report->group_count++;
    return group;
}

static const char *call_name(const char *call_text)
{
    char name[64];
    if (call_text == NULL) return NULL;
    size_t len = strcspn(call_text, "(");
    if (len >= sizeof name) len = sizeof name - 1;
    memcpy(name, call_text, len);
    name[len] = '\0';
    return text_keep(name);
}

static void count_in(struct group *group, const struct record *record)
{
    group->held_ns += record->held_ns;
    group->count++;
    group->kind_count[record->kind]++;
    group->kind_held_ns[record->kind] += record->held_ns;
    if (record->held_ns > group->worst.held_ns) group->worst = *record;
}

static void keep_record(struct report *report, const struct record *record)
{
    void *array = report->records;
    if (record->stack == report->spare || report->record_count >= RECORDS_MAX ||
        !grow(&array, &report->record_room, report->record_count, sizeof *record)) {
        report->left_out++;
        return;
    }
    report->records = array;
    report->records[report->record_count++] = *record;
}

bool report_keep(struct report *report, const struct stall *stall, struct record *record)
{
    bool is_blameless = stall->kind == STALL_DESCHEDULED; /* the scheduler did it */
    *record = (struct record){
        .pid = stall->pid, .tid = stall->tid, .began_ns = stall->began_ns,
        .held_ns = stall->held_ns, .wall_ns = stall->wall_ns, .processor_ns = stall->processor_ns,
        .queued_ns = stall->queued_ns, .kind = stall->kind, .is_running = stall->is_running,
        .guilty = is_blameless ? -1 : stall->guilty, .look_count = stall->look_count,
        .call_text = stall->call_text, .call_name = call_name(stall->call_text),
        .stack = keep_stack(report, &stall->stack, false),
    };
    report->stall_count++;
    report->held_ns += stall->held_ns;
    struct group *group = record->stack != NULL ? find_group(report, record) : NULL;
    /* A group shows the stack of its worst, so that one is kept in any case. */
    if (record->stack != NULL && (group == NULL || stall->held_ns > group->worst.held_ns))
        record->stack = keep_stack(report, &stall->stack, true);
    if (group == NULL && record->stack != NULL) group = add_group(report, record);
    if (group == NULL || record->stack == NULL) {
        report->left_out++;
        return false;
    }
    count_in(group, record);
    keep_record(report, record);
    return true;
}

static int by_time_held(const void *left, const void *right)
{
    const struct group *a = left, *b = right;
    if (a->held_ns != b->held_ns) return a->held_ns < b->held_ns ? 1 : -1;
    if (a->count != b->count) return a->count < b->count ? 1 : -1;
    return (a->worst.began_ns > b->worst.began_ns) - (a->worst.began_ns < b->worst.began_ns);
}

void report_rank(struct report *report)
{
    if (report->group_count == 0) return;
    qsort(report->groups, (size_t)report->group_count, sizeof *report->groups, by_time_held);
    for (int i = 0; i < GROUP_BUCKETS; i++) report->group_buckets[i] = -1; /* no longer in order */
}

void report_forget(struct report *report)
{
    for (int i = 0; i < report->stack_count; i++) free((void *)(uintptr_t)report->stacks[i]);
    free(report->spare);
    free(report->stacks);
    free(report->groups);
    free(report->records);
}

static int by_stack(const void *left, const void *right)
{
    const struct record *a = ((const struct weight *)left)->record;
    const struct record *b = ((const struct weight *)right)->record;
    if (a->stack != b->stack) return a->stack->number < b->stack->number ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return strcmp(a->call_name ? a->call_name : "", b->call_name ? b->call_name : "");
}

static int by_weight(const void *left, const void *right)
{
    const struct weight *a = left, *b = right;
    if (a->held_ns != b->held_ns) return a->held_ns < b->held_ns ? 1 : -1;
    return by_stack(left, right);
}

struct weight *report_weigh(const struct report *report, size_t *count)
{
    *count = 0;
    if (report->record_count == 0) return NULL;
    struct weight *weights = calloc(report->record_count, sizeof *weights);
    if (weights == NULL) return NULL;
    for (size_t i = 0; i < report->record_count; i++)
        weights[i] = (struct weight){ &report->records[i], report->records[i].held_ns };
    qsort(weights, report->record_count, sizeof *weights, by_stack);
    for (size_t i = 0; i < report->record_count; i++) {
        if (*count > 0 && by_stack(&weights[*count - 1], &weights[i]) == 0)
            weights[*count - 1].held_ns += weights[i].held_ns;
        else weights[(*count)++] = weights[i];
    }
    qsort(weights, *count, sizeof *weights, by_weight);
    return weights;
}
