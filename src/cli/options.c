/* The option parser: "--name value", "--name=value" and flags, from one table a subcommand.
 *
 * No short options but -h and those that a table names, no abbreviations: a script that works
 * today works tomorrow. */
#include "options.h"

#include <hark/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "show/format.h"
#include "tool.h"

enum { WORD_MAX = 24, BACKENDS_MAX = 8 };

/* The number of letters to insert, drop, change or swap with their neighbour. */
static int distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > WORD_MAX || b_len > WORD_MAX) return WORD_MAX;
    int rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b_len; j++) rows[0][j] = (int)j;
    for (size_t i = 1; i <= a_len; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b_len; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (is_swap && above2[j - 2] + 1 < best) best = above2[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

const char *options_nearest(const char *typed, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    int nearest_distance = strlen(typed) < 5 ? 2 : 3;
    for (size_t i = 0; i < count; i++) {
        int d = distance(typed, words[i]);
        bool is_start = strlen(typed) >= 2 && strncmp(words[i], typed, strlen(typed)) == 0;
        if (is_start && strcmp(typed, "--") != 0) d = 1;
        if (d <= nearest_distance && (!nearest || d < nearest_distance)) {
            nearest = words[i];
            nearest_distance = d;
        }
    }
    return nearest;
}

/* Gives what one unit stands for, 0 for a unit of another kind. */
static int64_t unit_of(enum option_kind kind, const char *unit)
{
    static const struct { enum option_kind kind; const char *unit; int64_t worth; } units[] = {
        { OPTION_COUNT, "", 1 },
        { OPTION_SIZE, "", 1 }, { OPTION_SIZE, "k", 1024 }, { OPTION_SIZE, "m", 1024 * 1024 },
        { OPTION_SIZE, "K", 1024 }, { OPTION_SIZE, "M", 1024 * 1024 },
        { OPTION_DURATION, "us", HARK_MICROSECOND }, { OPTION_DURATION, "ms", HARK_MILLISECOND },
        { OPTION_DURATION, "s", HARK_SECOND }, { OPTION_DURATION, "m", 60 * HARK_SECOND },
        { OPTION_DURATION, "h", 3600 * HARK_SECOND },
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (units[i].kind == kind && strcmp(units[i].unit, unit) == 0) return units[i].worth;
    return 0;
}

int options_number(enum option_kind kind, const char *text, int64_t *number)
{
    const char *at = text;
    int64_t whole = 0, fraction = 0, fraction_of = 1;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(whole, 10, &whole)) return -1;
        if (__builtin_add_overflow(whole, *at - '0', &whole)) return -1;
    }
    if (at == text) return -1;
    if (kind == OPTION_DURATION && *at == '.') { /* 1.5s */
        const char *first = ++at;
        for (; *at >= '0' && *at <= '9' && at - first < 6; at++) {
            fraction = fraction * 10 + (*at - '0');
            fraction_of *= 10;
        }
        if (at == first) return -1;
    }
    int64_t unit = unit_of(kind, at);
    /* "0" says the same in every unit of time. */
    if (unit == 0 && kind == OPTION_DURATION && *at == 0 && whole == 0 && fraction == 0) unit = 1;
    if (unit == 0 || __builtin_mul_overflow(whole, unit, number)) return -1;
    return __builtin_add_overflow(*number, fraction * unit / fraction_of, number) ? -1 : 0;
}

static size_t backend_names(const char **names)
{
    size_t count = 0;
    while (count < BACKENDS_MAX && (names[count] = hark_backend_name(count))) count++;
    return count;
}

static int set_backend(const struct command *command, const struct option *option,
                       const char *text)
{
    const char *names[BACKENDS_MAX];
    size_t count = backend_names(names);
    char list[256], known[128] = "", *rest = list;
    snprintf(list, sizeof list, "%s", text);
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", names[i]);
    }
    for (char *name; (name = strsep(&rest, ","));) {
        size_t i = 0;
        while (i < count && strcmp(names[i], name) != 0) i++;
        if (i < count) continue;
        const char *nearest = options_nearest(name, names, count);
        tool_complain(command->name, "%s takes %s, not '%s'%s%s%s", option->name, known, name,
                      nearest ? "; did you mean '" : "", nearest ? nearest : "",
                      nearest ? "'?" : "");
        return -1;
    }
    *(const char **)option->to = text;
    return 0;
}

static void show_bound(enum option_kind kind, int64_t bound, char *text, size_t room)
{
    if (kind == OPTION_DURATION) format_duration(bound, text, room);
    else if (kind == OPTION_SIZE) format_size(bound, text, room);
    else format_count(bound, text, room);
}

static int set_number(const struct command *command, const struct option *option,
                      const char *text)
{
    static const char *const takes[] = {
        [OPTION_COUNT] = "a whole number",
        [OPTION_SIZE] = "a size such as 64, 16k or 1m",
        [OPTION_DURATION] = "a time such as 500ms, 5s or 2m",
    };
    int64_t number;
    bool is_number = options_number(option->kind, text, &number) == 0;
    if (is_number && number >= option->min && number <= option->max) {
        *(int64_t *)option->to = number;
        return 0;
    }
    char min[32], max[32];
    show_bound(option->kind, option->min, min, sizeof min);
    show_bound(option->kind, option->max, max, sizeof max);
    tool_complain(command->name, "%s takes %s, from %s to %s, not '%s'", option->name,
                  takes[option->kind], min, max, text);
    return -1;
}

static int set_value(const struct command *command, const struct option *option, const char *text)
{
    if (option->kind == OPTION_BACKEND) return set_backend(command, option, text);
    if (option->kind != OPTION_TEXT) return set_number(command, option, text);
    if (!*text) {
        tool_complain(command->name, "%s takes a %s, not an empty text", option->name,
                      option->value);
        return -1;
    }
    *(const char **)option->to = text;
    return 0;
}

/* How long the option's name in argument is: up to its "=" if it has one; a letter in "-p77". */
static size_t name_len(const char *argument)
{
    return argument[1] == '-' ? strcspn(argument, "=") : 2;
}

static const struct option *find(const struct command *command, const char *argument)
{
    size_t len = name_len(argument);
    for (size_t i = 0; i < command->option_count; i++) {
        const struct option *option = &command->options[i];
        if (strlen(option->name) == len && strncmp(option->name, argument, len) == 0)
            return option;
    }
    return NULL;
}

static void complain_unknown(const struct command *command, const char *argument)
{
    const char *names[WORD_MAX];
    size_t count = 0;
    for (; count < command->option_count && count < WORD_MAX - 1; count++)
        names[count] = command->options[count].name;
    names[count++] = "--help";
    char typed[WORD_MAX + 8];
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(argument, "="), argument);
    const char *nearest = options_nearest(typed, names, count);
    if (nearest) {
        tool_complain(command->name, "no option '%s'; did you mean '%s'?", argument, nearest);
    } else {
        tool_complain(command->name, "no option '%s'; 'hark %s --help' lists them", argument,
                      command->name);
    }
}

static void print_help(const struct command *command)
{
    printf("hark %s: %s\n\nusage: hark %s [options]%s%s\n\n", command->name, command->summary,
           command->name, command->operand ? " " : "", command->operand ? command->operand : "");
    if (command->about) printf("%s\n", command->about);
    printf("options:\n");
    for (size_t i = 0; i < command->option_count; i++) {
        const struct option *option = &command->options[i];
        char left[48];
        snprintf(left, sizeof left, "%s%s%s", option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        printf("  %-24s %s\n", left, option->help);
    }
    printf("  %-24s this text\n", "--help, -h");
}

/* Takes the option at argv[*at] and moves *at over its value. */
static int take_option(const struct command *command, int argc, char **argv, int *at)
{
    const char *argument = argv[*at];
    const struct option *option = find(command, argument);
    if (!option) {
        complain_unknown(command, argument);
        return -1;
    }
    const char *joined = argument + name_len(argument);
    if (option->kind == OPTION_FLAG) {
        if (*joined) {
            tool_complain(command->name, "%s takes no value", option->name);
            return -1;
        }
        *(bool *)option->to = true;
        return 0;
    }
    if (*joined) return set_value(command, option, joined + (*joined == '='));
    if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0) {
        tool_complain(command->name, "%s needs a %s after it", option->name, option->value);
        return -1;
    }
    return set_value(command, option, argv[++*at]);
}

static int take_operand(const struct command *command, const char *argument, const char **operand)
{
    if (!command->operand) {
        tool_complain(command->name, "takes no '%s'; options begin with --", argument);
        return -1;
    }
    if (*operand) {
        tool_complain(command->name, "takes one %s, and '%s' is a second", command->operand,
                      argument);
        return -1;
    }
    *operand = argument;
    return 0;
}

enum options_outcome options_parse(const struct command *command, int argc, char **argv,
                                   const char **operand)
{
    const char *found = NULL;
    bool only_operands = false;
    if (command->rest) *command->rest = NULL;
    for (int at = 1; at < argc; at++) {
        const char *argument = argv[at];
        if (!only_operands && strcmp(argument, "--") == 0) {
            only_operands = true;
            continue;
        }
        bool is_option = !only_operands && argument[0] == '-' && argument[1];
        if (is_option && (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)) {
            print_help(command);
            return OPTIONS_HELPED;
        }
        if (!is_option && command->rest) {
            *command->rest = &argv[at];
            return OPTIONS_GO;
        }
        int wrong = is_option ? take_option(command, argc, argv, &at)
                              : take_operand(command, argument, &found);
        if (wrong) return OPTIONS_WRONG;
    }
    if (command->operand && !command->rest && !found) {
        tool_complain(command->name, "%s is missing, such as 'hark %s %s'", command->operand,
                      command->name, command->operand_example);
        return OPTIONS_WRONG;
    }
    if (operand) *operand = found;
    return OPTIONS_GO;
}
