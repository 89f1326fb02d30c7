/* The picture of hark idle: processor time of a round trip against the number of idle connections,
 * both logarithmic, a line for each backend with its name at the end.
 *
 * Colors stand as attributes for light backgrounds, and again in a style sheet for dark ones, so
 * that a viewer without style sheets shows something right as well. A line is told from the others
 * by its mark and its dashes too, not by color alone. */
#include <errno.h>
#include <hark/loop.h>
#include <math.h>
#include <string.h>

#include "show/format.h"
#include "idle.h"

enum {
    WIDTH = 800, HEIGHT = 480,
    LEFT = 84, RIGHT = 630, TOP = 96, BOTTOM = 404, /* of the plot; labels stand right of it */
    INSET = 28,       /* between the frame and the outer points */
    LABEL_STEP = 18,  /* between lines of labels */
};

struct look {
    const char *light, *dark, *dashes;
};

/* By the place of a backend in the library's list, so that it looks the same in every picture. */
static const struct look looks[] = {
    { "#0b7a53", "#4fd1a1", "none" },  /* io_uring */
    { "#1d63b8", "#7ab8ff", "7 5" },   /* epoll, which may run along it */
    { "#b8500b", "#f5a25d", "none" },  /* poll */
    { "#8438a8", "#d4a0f2", "7 5" },   /* select, which may run along it */
};
enum { LOOKS = sizeof looks / sizeof *looks };

struct label {
    const struct idle_row *row;
    const struct idle_cell *cell;
    int look;
    double y;
};

struct picture {
    FILE *to;
    const struct idle_report *report;
    double idle_min, idle_max;  /* of the measured levels */
    double cost_min, cost_max;  /* of the axis */
};

static int look_of(const char *backend)
{
    const char *name;
    for (size_t i = 0; (name = hark_backend_name(i)); i++)
        if (strcmp(name, backend) == 0) return (int)(i % LOOKS);
    return 0;
}

/* The nearest of 1, 2, 5, 10, 20, ... on one side of a number. */
static double round_to_step(double number, bool up)
{
    static const double steps[] = { 1, 2, 5, 10 };
    double decade = pow(10, floor(log10(number) + 1e-9));
    double found = decade;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        double step = steps[i] * decade;
        if (up && step >= number * (1 - 1e-9)) return step;
        if (!up && step <= number * (1 + 1e-9)) found = step;
    }
    return up ? decade * 10 : found;
}

static void find_ranges(struct picture *picture)
{
    const struct idle_report *report = picture->report;
    double least = INFINITY, most = 0;
    picture->idle_min = INFINITY;
    for (int i = 0; i < report->row_count; i++) {
        for (int level = 0; level < report->plan->level_count; level++) {
            const struct idle_cell *cell = &report->rows[i].cells[level];
            if (!cell->is_measured) continue;
            picture->idle_min = fmin(picture->idle_min, (double)cell->idle);
            picture->idle_max = fmax(picture->idle_max, (double)cell->idle);
            least = fmin(least, cell->processor_us);
            most = fmax(most, cell->processor_us);
        }
    }
    /* A clock that did not move is shown at the foot of the axis. */
    if (!(least > 0.01)) least = 0.01;
    if (most < least) most = least;
    picture->cost_min = round_to_step(least * 0.8, false);
    picture->cost_max = round_to_step(most * 1.2, true);
}

/* One level alone stands in the middle. */
static double x_of(const struct picture *picture, double idle)
{
    double from = LEFT + INSET, to = RIGHT - INSET;
    if (picture->idle_max <= picture->idle_min) return (from + to) / 2;
    double share = log(idle / picture->idle_min) / log(picture->idle_max / picture->idle_min);
    return from + share * (to - from);
}

static double y_of(const struct picture *picture, double cost)
{
    if (cost < picture->cost_min) cost = picture->cost_min;
    double share = log(cost / picture->cost_min) / log(picture->cost_max / picture->cost_min);
    return BOTTOM - share * (BOTTOM - TOP);
}

static void draw_head(const struct picture *picture)
{
    FILE *to = picture->to;
    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\""
            " height=\"%d\" role=\"img\" aria-labelledby=\"title description\"\n"
            " font-family=\"system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif\""
            " font-size=\"13\">\n", WIDTH, HEIGHT, WIDTH, HEIGHT);
    fprintf(to, "<title id=\"title\">What idle connections cost</title>\n"
            "<desc id=\"description\">");
    char verdict[1024];
    format_xml(to, idle_verdict(picture->report, verdict, sizeof verdict));
    fprintf(to, "</desc>\n<style>\n@media (prefers-color-scheme: dark) {\n"
            "  .paper { fill: #14171a } .ink { fill: #e8eaed } .soft { fill: #a9b0b8 }\n"
            "  .grid { stroke: #343a41 } .frame { stroke: #7d858e }\n");
    for (int i = 0; i < LOOKS; i++)
        fprintf(to, "  .line%d { stroke: %s } .name%d { fill: %s }\n", i, looks[i].dark, i,
                looks[i].dark);
    fprintf(to, "}\n</style>\n<rect class=\"paper\" fill=\"#ffffff\" width=\"%d\" height=\"%d\"/>"
            "\n", WIDTH, HEIGHT);
}

static void draw_titles(const struct picture *picture)
{
    FILE *to = picture->to;
    const struct idle_plan *plan = picture->report->plan;
    const struct machine *machine = &picture->report->machine;
    char active[32], size[40];
    fprintf(to, "<text class=\"ink\" fill=\"#16191c\" x=\"24\" y=\"36\" font-size=\"20\""
            " font-weight=\"600\">What idle connections cost</text>\n");
    fprintf(to, "<text class=\"soft\" fill=\"#59616a\" x=\"24\" y=\"58\">One thread holds them"
            " while %s %s in turn, %s a message, TCP on loopback%s</text>\n",
            format_count(plan->active, active, sizeof active), plan->active == 1 ? "talks" : "talk",
            format_bytes((double)plan->message_bytes, size, sizeof size),
            picture->report->is_interrupted ? "; interrupted" : "");
    fprintf(to, "<text class=\"soft\" fill=\"#59616a\" x=\"24\" y=\"76\">");
    format_xml(to, machine->processor);
    fprintf(to, ", %d %s, ", machine->cores, machine->cores == 1 ? "processor" : "processors");
    format_xml(to, machine->system);
    fprintf(to, ", hark %s</text>\n", hark_version());
    fprintf(to, "<text class=\"ink\" fill=\"#16191c\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">"
            "idle connections (both axes logarithmic)</text>\n", (LEFT + RIGHT) / 2, BOTTOM + 50);
    fprintf(to, "<text class=\"ink\" fill=\"#16191c\" transform=\"translate(24 %d) rotate(-90)\""
            " text-anchor=\"middle\">server processor time of a round trip, &#181;s"
            "</text>\n", (TOP + BOTTOM) / 2);
}

static void draw_cost_axis(const struct picture *picture)
{
    static const double steps[] = { 1, 2, 5 };
    double decade = pow(10, floor(log10(picture->cost_min) + 1e-9));
    bool is_narrow = picture->cost_max / picture->cost_min < 3000; /* else only powers of ten */
    for (; decade <= picture->cost_max * 1.001; decade *= 10) {
        for (int i = 0; i < (is_narrow ? 3 : 1); i++) {
            double cost = steps[i] * decade;
            if (cost < picture->cost_min * 0.999 || cost > picture->cost_max * 1.001) continue;
            double y = y_of(picture, cost);
            fprintf(picture->to, "<path class=\"grid\" stroke=\"#dde1e5\" d=\"M%d %.1fH%d\"/>\n"
                    "<text class=\"soft\" fill=\"#59616a\" x=\"%d\" y=\"%.1f\""
                    " text-anchor=\"end\">", LEFT, y, RIGHT, LEFT - 8, y + 4.5);
            char number[32];
            if (cost < 1) fprintf(picture->to, "%g</text>\n", cost);
            else fprintf(picture->to, "%s</text>\n",
                         format_count((int64_t)(cost + 0.5), number, sizeof number));
        }
    }
}

static void draw_idle_axis(const struct picture *picture)
{
    const struct idle_plan *plan = picture->report->plan;
    double y = BOTTOM;
    for (int i = 0; i < plan->level_count; i++) {
        double level = (double)plan->levels[i];
        if (level < picture->idle_min || level > picture->idle_max) continue;
        char number[32];
        double x = x_of(picture, level);
        fprintf(picture->to, "<path class=\"grid\" stroke=\"#dde1e5\" d=\"M%.1f %dV%d\"/>\n"
                "<text class=\"soft\" fill=\"#59616a\" x=\"%.1f\" y=\"%.1f\""
                " text-anchor=\"middle\">%s</text>\n", x, TOP, BOTTOM, x, y + 20,
                format_count(plan->levels[i], number, sizeof number));
    }
    fprintf(picture->to, "<path class=\"frame\" stroke=\"#6b737c\" fill=\"none\""
            " d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
}

/* A circle, a square, a triangle or a diamond. */
static void draw_mark(FILE *to, int look, double x, double y)
{
    static const char *const shapes[LOOKS] = {
        "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0", "m-4 -4h8v8h-8z", "m0 -5.5l5.2 9h-10.4z",
        "m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    };
    fprintf(to, "<path class=\"name%d\" fill=\"%s\" d=\"M%.1f %.1f%s\"/>\n", look,
            looks[look].light, x, y, shapes[look]);
}

static void draw_line(const struct picture *picture, const struct idle_row *row, int look)
{
    const struct idle_report *report = picture->report;
    FILE *to = picture->to;
    char command = 'M';
    fprintf(to, "<path class=\"line%d\" stroke=\"%s\" stroke-dasharray=\"%s\" stroke-width=\"2.2\""
            " stroke-linejoin=\"round\" fill=\"none\" d=\"", look, looks[look].light,
            looks[look].dashes);
    for (int i = 0; i < report->plan->level_count; i++) {
        const struct idle_cell *cell = &row->cells[i];
        if (!cell->is_measured) continue;
        fprintf(to, "%c%.1f %.1f", command, x_of(picture, (double)cell->idle),
                y_of(picture, cell->processor_us));
        command = 'L';
    }
    fprintf(to, "\"/>\n");
    for (int i = 0; i < report->plan->level_count; i++) {
        const struct idle_cell *cell = &row->cells[i];
        if (cell->is_measured)
            draw_mark(to, look, x_of(picture, (double)cell->idle),
                      y_of(picture, cell->processor_us));
    }
}

/* Dashed lines on top: what they cover shows through. */
static void draw_lines(const struct picture *picture)
{
    const struct idle_report *report = picture->report;
    for (int is_dashed = 0; is_dashed < 2; is_dashed++) {
        for (int i = 0; i < report->row_count; i++) {
            int look = look_of(report->rows[i].backend);
            if ((looks[look].dashes[0] != 'n') == is_dashed)
                draw_line(picture, &report->rows[i], look);
        }
    }
}

static void draw_label(FILE *to, const struct label *label, double x)
{
    char cost[32];
    fprintf(to, "<text class=\"name%d\" fill=\"%s\" x=\"%.1f\" y=\"%.1f\" font-weight=\"600\">",
            label->look, looks[label->look].light, x, label->y + 4.5);
    format_xml(to, label->row->backend);
    fprintf(to, " <tspan font-weight=\"400\">%s &#181;s</tspan></text>\n",
            format_short(label->cell->processor_us, cost, sizeof cost));
}

/* Labels of lines that reach the right edge keep their order and a distance. */
static void spread(struct label *labels, int count)
{
    for (int i = 1; i < count; i++)
        for (int j = i; j > 0 && labels[j - 1].y > labels[j].y; j--) {
            struct label lower = labels[j];
            labels[j] = labels[j - 1];
            labels[j - 1] = lower;
        }
    for (int i = 1; i < count; i++)
        if (labels[i].y < labels[i - 1].y + LABEL_STEP)
            labels[i].y = labels[i - 1].y + LABEL_STEP;
    double bottom = BOTTOM - 4;
    for (int i = count; i-- > 0; bottom -= LABEL_STEP)
        if (labels[i].y > bottom) labels[i].y = bottom;
}

static void draw_labels(const struct picture *picture)
{
    const struct idle_report *report = picture->report;
    struct label labels[IDLE_BACKENDS];
    int count = 0;
    for (int i = 0; i < report->row_count; i++) {
        const struct idle_cell *last = idle_last(report, &report->rows[i]);
        if (!last) continue;
        struct label label = { &report->rows[i], last, look_of(report->rows[i].backend),
                               y_of(picture, last->processor_us) };
        if ((double)last->idle >= picture->idle_max) {
            labels[count++] = label;
            continue;
        }
        /* It ends within the plot, where a line that goes on may climb: below that. */
        label.y += LABEL_STEP;
        draw_label(picture->to, &label, x_of(picture, (double)last->idle) + 8);
    }
    spread(labels, count);
    double x = picture->idle_max > picture->idle_min ? RIGHT - INSET + 14 : (LEFT + RIGHT) / 2 + 14;
    for (int i = 0; i < count; i++) draw_label(picture->to, &labels[i], x);
}

int idle_report_picture(const struct idle_report *report)
{
    struct picture picture = { .report = report, .to = fopen(report->plan->picture, "w") };
    if (!picture.to) return -1;
    find_ranges(&picture);
    draw_head(&picture);
    draw_titles(&picture);
    draw_cost_axis(&picture);
    draw_idle_axis(&picture);
    draw_lines(&picture);
    draw_labels(&picture);
    fprintf(picture.to, "</svg>\n");
    bool is_written = !ferror(picture.to);
    int why = errno;
    if (fclose(picture.to) == 0 && is_written) return 0;
    if (!is_written) errno = why;
    return -1;
}
