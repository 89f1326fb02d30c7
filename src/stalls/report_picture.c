/* The picture of hark stalls: when the loop was held and for how long, and by whom.
 *
 * As in the picture of hark idle, colors stand as attributes for light backgrounds and again in a
 * style sheet for dark ones. What colors say stands in words too, in the boxes and on hovering. */
#include <math.h>
#include <stdlib.h>

#include "show/format.h"
#include "show/machine.h"
#include "stalls/report_parts.h"

enum {
    WIDTH = 1000, LEFT = PICTURE_LEFT, RIGHT = PICTURE_RIGHT, COLUMNS = RIGHT - LEFT,
    TOP = 132, BOTTOM = 236,   /* of the timeline */
    LEGEND = 318, FLAME = 364, /* the graph's foot stands on what its height makes of that */
    TICKS = 8,
};

static const struct { const char *class, *fill, *name; } looks[LOOKS] = {
    [LOOK_NATIVE] = { "native", "#e9a765", "native" },
    [LOOK_PYTHON] = { "python", "#7db3ea", "Python" },
    [LOOK_JAVASCRIPT] = { "javascript", "#e2c73c", "JavaScript" },
    [LOOK_CALL] = { "call", "#e88a86", "system call" },
    [LOOK_PLAIN] = { "plain", "#d3d9df", "runtime and others" },
};

void picture_put_look(enum look look, bool is_to_blame, FILE *to)
{
    fprintf(to, "class=\"%s%s\" fill=\"%s\"%s", looks[look].class, is_to_blame ? " blame" : "",
            looks[look].fill, is_to_blame ? " stroke=\"#b3261e\" stroke-width=\"2\"" : "");
}

enum look look_of_frame(const struct frame *frame)
{
    static const enum look of_kind[] = {
        [FRAME_NATIVE] = LOOK_NATIVE, [FRAME_PYTHON] = LOOK_PYTHON,
        [FRAME_JAVASCRIPT] = LOOK_JAVASCRIPT,
    };
    return frame->is_runtime ? LOOK_PLAIN : of_kind[frame->kind];
}

struct scale {
    double began_ns, time_ns, held_ns;   /* time_ns, held_ns: the ends of the axes */
};

static double x_of(const struct scale *scale, int64_t at_ns)
{
    double x = LEFT + ((double)at_ns - scale->began_ns) / scale->time_ns * COLUMNS;
    return x < LEFT ? LEFT : x > RIGHT ? RIGHT : x;
}

/* The least of 1, 2, 5, 10, 20, ... that is not below number. */
static double round_up(double number)
{
    static const double steps[] = { 1, 2, 5, 10 };
    double decade = pow(10, floor(log10(number) + 1e-9));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] * decade >= number * (1 - 1e-9)) return steps[i] * decade;
    return decade * 10;
}

static struct scale find_scale(const struct report *report, const struct report_facts *facts)
{
    struct scale scale = { .began_ns = (double)facts->began_ns, .held_ns = 1 };
    scale.time_ns = fmax((double)(facts->ended_ns - facts->began_ns), 1e6);
    for (int i = 0; i < report->group_count; i++)
        scale.held_ns = fmax(scale.held_ns, (double)report->groups[i].worst.held_ns);
    if (report->group_count == 0) scale.held_ns = (double)report->options.threshold_ns;
    scale.held_ns = round_up(scale.held_ns);
    return scale;
}

static void draw_head(FILE *to, const char *verdict, double height)
{
    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\""
            " height=\"%.0f\" role=\"img\" aria-labelledby=\"title description\"\n"
            " font-family=\"system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif\""
            " font-size=\"13\">\n", WIDTH, height, WIDTH, height);
    fputs("<title id=\"title\">What held the loop</title>\n<desc id=\"description\">", to);
    format_xml(to, verdict);
    fputs("</desc>\n<style>\n@media (prefers-color-scheme: dark) {\n"
          "  .paper { fill: #14171a } .ink { fill: #e8eaed } .soft { fill: #a9b0b8 }\n"
          "  .grid { stroke: #343a41 } .frame { stroke: #7d858e } .blame { stroke: #ff6b60 }\n"
          "  .native { fill: #c98a4b } .python { fill: #5f9ad6 } .javascript { fill: #c4ab2e }\n"
          "  .call { fill: #d1706c } .plain { fill: #7f8891 }\n}\n</style>\n", to);
    fprintf(to, "<rect class=\"paper\" fill=\"#ffffff\" width=\"%d\" height=\"%.0f\"/>\n", WIDTH,
            height);
}

static void begin_text(FILE *to, const char *class, double x, double y)
{
    fprintf(to, "<text class=\"%s\" fill=\"%s\" x=\"%.1f\" y=\"%.1f\"", class,
            class[0] == 'i' ? "#16191c" : "#59616a", x, y);
}

static void draw_titles(FILE *to, const struct report *report, const char *verdict)
{
    char safe[WORDS_ROOM], command[WORDS_ROOM];
    struct machine machine;
    machine_look(&machine);
    format_elided(format_safe(report->options.command, safe, sizeof safe), 64, command,
                  sizeof command);
    begin_text(to, "ink", 24, 36);
    fputs(" font-size=\"20\" font-weight=\"600\">What held the loop: ", to);
    format_xml(to, command);
    fputs("</text>\n", to);
    begin_text(to, "ink", 24, 60);
    fputs(">", to);
    format_xml(to, verdict);
    fputs("</text>\n", to);
    begin_text(to, "soft", 24, 80);
    fputs(">", to);
    format_xml(to, machine.processor);
    fprintf(to, ", %d %s, ", machine.cores, machine.cores == 1 ? "processor" : "processors");
    format_xml(to, machine.system);
    fputs("</text>\n", to);
    begin_text(to, "ink", 24, TOP - 18);
    fputs(" font-weight=\"600\">When, and for how long</text>\n", to);
}

static void draw_held_axis(FILE *to, const struct scale *scale)
{
    for (int i = 0; i <= 2; i++) {
        double y = BOTTOM - i * (BOTTOM - TOP) / 2.0, held_ns = scale->held_ns * i / 2;
        fprintf(to, "<path class=\"grid\" stroke=\"#dde1e5\" d=\"M%d %.1fH%d\"/>\n", LEFT, y,
                RIGHT);
        begin_text(to, "soft", LEFT - 8, y + 4.5);
        if (scale->held_ns >= 1e9)
            fprintf(to, " text-anchor=\"end\">%g s</text>\n", held_ns / 1e9);
        else fprintf(to, " text-anchor=\"end\">%g ms</text>\n", held_ns / 1e6);
    }
}

static void draw_time_axis(FILE *to, const struct scale *scale)
{
    double step = round_up(scale->time_ns / TICKS);
    for (int i = 0; i * step <= scale->time_ns * 1.0001; i++) {
        double x = LEFT + i * step / scale->time_ns * COLUMNS;
        fprintf(to, "<path class=\"frame\" stroke=\"#6b737c\" d=\"M%.1f %dv5\"/>\n", x, BOTTOM);
        begin_text(to, "soft", x, BOTTOM + 20);
        fprintf(to, " text-anchor=\"middle\">%g</text>\n", i * step / 1e9);
    }
    begin_text(to, "ink", (LEFT + RIGHT) / 2.0, BOTTOM + 38);
    fputs(" text-anchor=\"middle\">seconds since the watch began</text>\n", to);
    fprintf(to, "<path class=\"frame\" stroke=\"#6b737c\" fill=\"none\" d=\"M%d %dV%dH%d\"/>\n",
            LEFT, TOP, BOTTOM, RIGHT);
}

static enum look look_of_record(const struct record *record)
{
    const struct frame *guilty = record_guilty(record);
    if (record->kind == STALL_DESCHEDULED) return LOOK_PLAIN;
    if (!record->is_running && record->call_name) return LOOK_CALL;
    return guilty ? look_of_frame(guilty) : LOOK_PLAIN;
}

static void draw_bar(FILE *to, const struct report *report, const struct scale *scale,
                     const struct record *record)
{
    char held[32], frame[WORDS_ROOM] = "", call[WORDS_ROOM];
    double x = x_of(scale, record->began_ns);
    double width = x_of(scale, record->began_ns + record->held_ns) - x;
    double height = (double)record->held_ns / scale->held_ns * (BOTTOM - TOP);
    if (width < 2) width = 2;
    fputs("<rect ", to);
    picture_put_look(look_of_record(record), false, to);
    fprintf(to, " x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"><title>%s, at %.3f s, %s", x,
            BOTTOM - height, width, height,
            format_time(record->held_ns, held, sizeof held),
            ((double)record->began_ns - scale->began_ns) / 1e9, words_kind(record->kind));
    if (record_guilty(record)) words_frame(report, record_guilty(record), 120, frame);
    if (frame[0]) fputs("\n", to);
    format_xml(to, frame);
    if (record->call_text) {
        fputs("\n", to);
        format_xml(to, format_safe(record->call_text, call, sizeof call));
    }
    fputs("</title></rect>\n", to);
}

/* Where many stalls share a column, the longest stands for them. */
static void draw_bars(FILE *to, const struct report *report, const struct scale *scale)
{
    const struct record **tallest = calloc(COLUMNS + 1, sizeof *tallest);
    if (tallest == NULL) return;
    for (size_t i = 0; i < report->record_count; i++) {
        const struct record *record = &report->records[i];
        const struct record **at = &tallest[(int)(x_of(scale, record->began_ns) - LEFT)];
        if (*at == NULL || (*at)->held_ns < record->held_ns) *at = record;
    }
    for (int i = 0; i <= COLUMNS; i++)
        if (tallest[i] != NULL) draw_bar(to, report, scale, tallest[i]);
    free(tallest);
}

static void draw_legend(FILE *to)
{
    double x = 24;
    begin_text(to, "ink", x, LEGEND);
    fputs(" font-weight=\"600\">By whom: the wider, the longer; a red border marks whom to blame"
          "</text>\n", to);
    for (int i = 0; i < LOOKS; i++) {
        fputs("<rect ", to);
        picture_put_look((enum look)i, false, to);
        fprintf(to, " x=\"%.1f\" y=\"%d\" width=\"12\" height=\"12\"/>\n", x, LEGEND + 13);
        begin_text(to, "soft", x + 18, LEGEND + 24);
        fprintf(to, ">%s</text>\n", looks[i].name);
        x += (double)format_width(looks[i].name) * 7.2 + 36;
    }
}

void report_picture(const struct report *report, const struct report_facts *facts, FILE *to)
{
    char verdict[WORDS_ROOM];
    struct flame *flame = flame_open(report);
    double height = flame ? FLAME + flame_height(flame) + 24 : LEGEND - 20;
    struct scale scale = find_scale(report, facts);
    words_verdict(report, facts, verdict);
    draw_head(to, verdict, height);
    draw_titles(to, report, verdict);
    draw_held_axis(to, &scale);
    draw_bars(to, report, &scale);
    draw_time_axis(to, &scale);
    if (flame) {
        draw_legend(to);
        flame_draw(flame, FLAME, to);
    }
    fputs("</svg>\n", to);
    flame_close(flame);
}
