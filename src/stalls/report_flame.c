/* The graph of time held: a box for each function, as wide as the time that it held the loop, on
 * top of who called it. Frames of runtimes are one box a run; the frame to blame has a border.
 *
 * Boxes are made before those on top of them, so that one pass in that order lays out and draws. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "show/format.h"
#include "stalls/report_parts.h"

enum { ROW = 18, STACKS_SHOWN = 2000, PATH_MAX_ROWS = STACK_FRAMES_MAX + 2, LETTER = 62 };

struct box {
    int child, sibling, depth;   /* child: the first on top; -1: none */
    const char *label, *origin;  /* origin: place or module, "" */
    const char *file;            /* two functions of one name are told apart by it */
    enum look look;
    bool is_guilty;
    int64_t held_ns;
    double x, width;
};

struct flame {
    struct box *boxes;
    int count, room, depth;
};

/* What is to stand on a box: found, or made. -1: no memory. */
static int box_on(struct flame *flame, int below, const struct box *wanted)
{
    if (below >= 0) {
        for (int i = flame->boxes[below].child; i >= 0; i = flame->boxes[i].sibling) {
            const struct box *box = &flame->boxes[i];
            if (box->label == wanted->label && box->file == wanted->file &&
                box->look == wanted->look)
                return i;
        }
    }
    if (flame->count == flame->room) {
        int room = flame->room ? flame->room * 2 : 256;
        struct box *grown = realloc(flame->boxes, (size_t)room * sizeof *grown);
        if (grown == NULL) return -1;
        flame->boxes = grown;
        flame->room = room;
    }
    struct box *box = &flame->boxes[flame->count];
    *box = *wanted;
    box->child = -1;
    box->sibling = -1;
    box->depth = 0;
    box->held_ns = 0;
    if (below >= 0) {
        box->depth = flame->boxes[below].depth + 1;
        box->sibling = flame->boxes[below].child;
        flame->boxes[below].child = flame->count;
    }
    if (box->depth + 1 > flame->depth) flame->depth = box->depth + 1;
    return flame->count++;
}

static struct box plain_box(const char *label)
{
    return (struct box){ .label = text_keep(label), .origin = "", .look = LOOK_PLAIN };
}

static struct box frame_box(const struct report *report, const struct record *record, int at)
{
    char name[WORDS_ROOM], origin[WORDS_ROOM];
    const struct frame *frame = &record->stack->frames[at];
    return (struct box){
        .label = text_keep(words_function(frame, WORDS_ROOM / 2, name)),
        .origin = text_keep(words_origin(report, frame, WORDS_ROOM / 2, origin)),
        .file = frame->file, .look = look_of_frame(frame), .is_guilty = at == record->guilty,
    };
}

/* Makes the boxes of a stack, the topmost first; gives their number. */
static int boxes_of(const struct report *report, const struct record *record, struct box *path)
{
    int count = 0;
    char text[WORDS_ROOM];
    if (record->call_name) {
        format_safe(record->call_name, text, sizeof text);
        path[count++] = (struct box){ .label = text_keep(text), .origin = "", .look = LOOK_CALL };
    }
    for (int at = 0; at < record->stack->count;) {
        int folded = words_fold(record, at, text, sizeof text);
        path[count++] = folded > 0 ? plain_box(text) : frame_box(report, record, at);
        at += folded > 0 ? folded : 1;
    }
    path[count++] = plain_box(words_kind(record->kind));
    return count;
}

static void add_stack(struct flame *flame, const struct report *report,
                      const struct weight *weight, struct box *path)
{
    int below = 0;
    flame->boxes[0].held_ns += weight->held_ns;
    for (int i = boxes_of(report, weight->record, path); i-- > 0 && below >= 0;) {
        below = box_on(flame, below, &path[i]);
        if (below < 0) break;
        flame->boxes[below].held_ns += weight->held_ns;
        flame->boxes[below].is_guilty |= path[i].is_guilty;
    }
}

static int by_time_held(const void *left, const void *right)
{
    const struct box *a = *(struct box *const *)left, *b = *(struct box *const *)right;
    if (a->held_ns != b->held_ns) return a->held_ns < b->held_ns ? 1 : -1;
    return a < b ? -1 : 1;
}

/* Gives each box its place: those on one box from the left, the heaviest first. */
static void lay_out(struct flame *flame, struct box **row)
{
    struct box *boxes = flame->boxes;
    double scale = (PICTURE_RIGHT - PICTURE_LEFT) / (double)boxes[0].held_ns;
    boxes[0].x = PICTURE_LEFT;
    for (int i = 0; i < flame->count; i++) {
        size_t count = 0;
        double x = boxes[i].x;
        boxes[i].width = (double)boxes[i].held_ns * scale;
        for (int on = boxes[i].child; on >= 0; on = boxes[on].sibling) row[count++] = &boxes[on];
        if (count > 1) qsort(row, count, sizeof *row, by_time_held);
        for (size_t at = 0; at < count; at++) {
            row[at]->x = x;
            x += (double)row[at]->held_ns * scale;
        }
    }
}

static void add_stacks(struct flame *flame, const struct report *report,
                       const struct weight *weights, size_t count)
{
    struct box *path = calloc(PATH_MAX_ROWS, sizeof *path), all = plain_box("all time held");
    if (path == NULL || box_on(flame, -1, &all) < 0) {
        free(path);
        return;
    }
    size_t shown = count < STACKS_SHOWN ? count : STACKS_SHOWN;
    for (size_t i = 0; i < shown; i++) add_stack(flame, report, &weights[i], path);
    free(path);
    if (shown == count) return;
    struct box rest = plain_box("other stacks, each of them lighter");
    int at = box_on(flame, 0, &rest);
    for (size_t i = shown; i < count && at >= 0; i++) {
        flame->boxes[0].held_ns += weights[i].held_ns;
        flame->boxes[at].held_ns += weights[i].held_ns;
    }
}

struct flame *flame_open(const struct report *report)
{
    size_t count;
    struct weight *weights = report_weigh(report, &count);
    struct flame *flame = calloc(1, sizeof *flame);
    if (flame != NULL && count > 0) add_stacks(flame, report, weights, count);
    free(weights);
    struct box **row = NULL;
    if (flame != NULL && flame->count > 0 && flame->boxes[0].held_ns > 0)
        row = calloc((size_t)flame->count, sizeof *row);
    if (row == NULL) {
        flame_close(flame);
        return NULL;
    }
    lay_out(flame, row);
    free(row);
    return flame;
}

double flame_height(const struct flame *flame)
{
    return flame->depth * ROW;
}

/* As much as fits: name and place, the name, its beginning, nothing. */
static void fit_text(const struct box *box, char *text, size_t room)
{
    size_t letters = (size_t)(box->width > 8 ? (box->width - 8) * 10 / LETTER : 0);
    size_t width = format_width(box->label), len = 0;
    snprintf(text, room, "%s%s%s", box->label, box->origin[0] ? " " : "", box->origin);
    if (format_width(text) <= letters) return;
    if (width > letters && letters >= 4) /* bytes, which are no fewer than letters */
        len = strlen(format_safe(box->label, text, letters - 1));
    else if (width <= letters) len = strlen(format_safe(box->label, text, room));
    snprintf(text + len, room - len, "%s", width > letters && len > 0 ? ".." : "");
}

static void draw_box(const struct flame *flame, const struct box *box, double top, FILE *to)
{
    char held[32], text[2 * WORDS_ROOM];
    double y = top + (flame->depth - 1 - box->depth) * ROW;
    double share = (double)box->held_ns / (double)flame->boxes[0].held_ns;
    fputs("<g><title>", to);
    format_xml(to, box->label);
    if (box->origin[0]) {
        fputs("\n", to);
        format_xml(to, box->origin);
    }
    fprintf(to, "\n%s, %.1f %% of all time held</title><rect ",
            format_time(box->held_ns, held, sizeof held), share * 100);
    picture_put_look(box->look, box->is_guilty, to);
    fprintf(to, " x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>", box->x + 0.5, y + 0.5,
            box->width > 1.5 ? box->width - 1 : 0.5, ROW - 1);
    fit_text(box, text, sizeof text);
    if (text[0]) {
        fprintf(to, "<text class=\"in\" fill=\"#16191c\" font-size=\"11\"%s x=\"%.1f\" y=\"%.1f\">",
                box->is_guilty ? " font-weight=\"600\"" : "", box->x + 4, y + ROW - 5);
        format_xml(to, text);
        fputs("</text>", to);
    }
    fputs("</g>\n", to);
}

/* Boxes that no eye could see are left out; what they stand on has their width. */
void flame_draw(const struct flame *flame, double top, FILE *to)
{
    for (int i = 0; i < flame->count; i++)
        if (flame->boxes[i].width >= 0.4) draw_box(flame, &flame->boxes[i], top, to);
}

void flame_close(struct flame *flame)
{
    if (flame == NULL) return;
    free(flame->boxes);
    free(flame);
}
