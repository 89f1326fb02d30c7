/* What the parts of the report share: stalls as they are kept, groups of them, words for both. */
#ifndef STALLS_REPORT_PARTS_H
#define STALLS_REPORT_PARTS_H

#include "stalls/report.h"

enum { STALL_KINDS = STALL_DESCHEDULED + 1, RECORDS_MAX = 100000, STACKS_MAX = 10000 };

/* A stack that was seen, kept once however often that was. */
struct kept_stack {
    struct kept_stack *next;
    int number;               /* in the order in which they came */
    int count;
    struct frame frames[];    /* innermost first */
};

/* A stall as it is kept: the same, with its stack elsewhere. */
struct record {
    pid_t pid, tid;
    int64_t began_ns, held_ns, wall_ns, processor_ns, queued_ns;
    enum stall_kind kind;
    bool is_running;
    int guilty, look_count;
    const char *call_text;    /* NULL: in none */
    const char *call_name;    /* "connect"; NULL: in none */
    const struct kept_stack *stack;
};

/* Stalls with the same cause: the same guilty frame in the same system call. */
struct group {
    int next;                 /* of the same hash, -1: none */
    int64_t held_ns;
    int64_t count;
    int64_t kind_count[STALL_KINDS], kind_held_ns[STALL_KINDS];
    struct record worst;
};

enum { STACK_BUCKETS = 4096, GROUP_BUCKETS = 1024, FOLD_NAMES = 3, REPORT_FILES = 3 };

struct report {
    struct report_options options;
    bool is_new[REPORT_FILES], has_ended;   /* is_new: made by report_open() */
    char folder[1024];        /* with a slash at its end, or empty */
    bool has_color, has_color_at_end;   /* of the live lines, of the ranked report */
    size_t call_width, kind_width;   /* of the live lines' columns so far */
    struct record *records;
    size_t record_count, record_room;
    int64_t stall_count, held_ns, left_out;   /* left out: counted, but not kept one by one */
    struct group *groups;     /* ranked by report_rank() */
    int group_count, group_room;
    int group_buckets[GROUP_BUCKETS];
    struct kept_stack *stack_buckets[STACK_BUCKETS];
    const struct kept_stack **stacks;   /* by number */
    struct kept_stack *spare;           /* for one that is looked at and not kept */
    int stack_count, stack_room;
};

/* report_keep.c */
/* Keeps a stall; gives it as it is kept, in memory of the caller, until the next one. */
bool report_keep(struct report *report, const struct stall *stall, struct record *record);
void report_forget(struct report *report);
/* Sorts the groups: what held the loop longest in all comes first. */
void report_rank(struct report *report);

/* report_words.c: all text that these give is safe on a terminal. */
enum { WORDS_ROOM = 512 };
const char *words_kind(enum stall_kind kind);
const char *words_mode(enum watch_mode mode);
/* "lib/audit.js:41", shortened to width characters; "" if no file is known. */
char *words_place(const struct report *report, const struct frame *frame, size_t width, char *text);
/* The place, or the module where no file is known: "libfoo.so". */
char *words_origin(const struct report *report, const struct frame *frame, size_t width,
                   char *text);
/* "logRow", "libfoo.so+0x1234" where there is no name. */
char *words_function(const struct frame *frame, size_t width, char *text);
/* Both: "lib/audit.js:41 logRow". */
char *words_frame(const struct report *report, const struct frame *frame, size_t width, char *text);
/* What a group is about, as the head of its paragraph. */
char *words_cause(const struct report *report, const struct group *group, char *text);
/* How much of the loops' time was held, from 0 to 1. */
double words_share(const struct report *report, const struct report_facts *facts);
/* The verdict in a sentence, which goes after the command's name. */
char *words_verdict(const struct report *report, const struct report_facts *facts, char *text);
const struct frame *record_guilty(const struct record *record);

/* Which runtime or library a run of frames that no one need read is of: "libc and node". Gives how
 * many frames the run has that begins at `from`; 0: that frame is to be read. */
int words_fold(const struct record *record, int from, char *text, size_t room);

/* A stack with its weight, for pictures. */
struct weight {
    const struct record *record;
    int64_t held_ns;
};
/* Adds up records with the same stack, kind and call, heaviest first. NULL: no memory, or none. */
struct weight *report_weigh(const struct report *report, size_t *count);

/* report_text.c */
bool report_has_color(FILE *to);
void report_print_line(struct report *report, const struct record *record);

typedef void report_writer(const struct report *report, const struct report_facts *facts, FILE *to);
report_writer report_print, report_json, report_fold, report_picture;

/* report_picture.c: looks that both halves of the picture share, as classes of its style sheet. */
enum look { LOOK_NATIVE, LOOK_PYTHON, LOOK_JAVASCRIPT, LOOK_CALL, LOOK_PLAIN, LOOKS };
void picture_put_look(enum look look, bool is_to_blame, FILE *to);
enum look look_of_frame(const struct frame *frame);
enum { PICTURE_LEFT = 64, PICTURE_RIGHT = 976 };

/* report_flame.c: the graph of time held. NULL: nothing to show, or no memory. */
struct flame;
struct flame *flame_open(const struct report *report);
double flame_height(const struct flame *flame);
void flame_draw(const struct flame *flame, double top, FILE *to);
void flame_close(struct flame *flame);

#endif
