/* hark backends: which kernel interfaces work here, which one is chosen, and why the others are
 * refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "show/format.h"
#include "options.h"
#include "tool.h"

enum { NAME_ROOM = 32, WHY_ROOM = 200 };

static const char about[] =
    "A backend works if a loop on it can be opened now. HARK_BACKEND in the environment overrides\n"
    "the choice of any program on hark that leaves it to the library; this says when it is set.\n";

struct choice {
    char automatic[NAME_ROOM]; /* what the library picks by itself; empty: nothing works */
    char effective[NAME_ROOM]; /* what it picks with HARK_BACKEND as it is */
    int error;                 /* why there is no effective one */
    const char *override;      /* HARK_BACKEND, or NULL */
};

/* Opens a loop with the default options and notes what it runs on. */
static int pick(char name[NAME_ROOM])
{
    struct hark_loop *loop;
    int error = hark_loop_open(&loop, NULL);
    snprintf(name, NAME_ROOM, "%s", error == 0 ? hark_loop_backend(loop) : "");
    hark_loop_close(loop);
    return error;
}

static void choose(struct choice *choice)
{
    const char *set = getenv("HARK_BACKEND");
    choice->override = set && *set ? strdup(set) : NULL; /* unsetenv() ends the original's life */
    choice->error = pick(choice->effective);
    unsetenv("HARK_BACKEND");
    (void)pick(choice->automatic); /* empty says it */
    if (choice->override) setenv("HARK_BACKEND", choice->override, 1);
}

/* All there are, and whose they are: why one is not in this build. */
static const struct { const char *name, *where; } known[] = {
    { "io_uring", "of Linux, by liburing" }, { "epoll", "of Linux" },
    { "kqueue", "of macOS and the BSDs" }, { "poll", "of POSIX systems" },
    { "select", "of POSIX systems" }, { "iocp", "of Windows" },
};

static bool is_built(const char *wanted)
{
    const char *name;
    for (size_t i = 0; (name = hark_backend_name(i)); i++)
        if (strcmp(name, wanted) == 0) return true;
    return false;
}

static void print_absent(void)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!is_built(known[i].name))
            printf("%-10s %-8s not in this build: %s\n", known[i].name, "absent", known[i].where);
}

static void print_text(const struct choice *choice)
{
    const char *name;
    for (size_t i = 0; (name = hark_backend_name(i)); i++) {
        char why[WHY_ROOM] = "";
        int error = hark_backend_probe(name, why, sizeof why);
        if (error < 0 && !why[0]) snprintf(why, sizeof why, "%s", hark_strerror(error));
        const char *state = error == 0 ? "works" : "refused";
        if (*why) printf("%-10s %-8s %s\n", name, state, why);
        else printf("%-10s %s\n", name, state);
    }
    print_absent();
    printf("auto       %s\n", choice->automatic[0] ? choice->automatic : "none works here");
    if (!choice->override) return;
    if (choice->error == 0)
        printf("HARK_BACKEND=%s overrides: %s is used\n", choice->override, choice->effective);
    else
        printf("HARK_BACKEND=%s overrides, and nothing can be used: %s\n", choice->override,
               choice->error == HARK_EINVAL ? "it names no backend"
                                            : hark_strerror(choice->error));
}

static void print_member(const char *key, const char *text, const char *end)
{
    printf("  \"%s\": ", key);
    if (text && *text) format_json(stdout, text);
    else printf("null");
    printf("%s\n", end);
}

static void print_json(const struct choice *choice)
{
    printf("{\n  \"hark\": \"%s\",\n  \"backends\": [\n", hark_version());
    const char *name;
    for (size_t i = 0; (name = hark_backend_name(i)); i++) {
        char why[WHY_ROOM] = "";
        int error = hark_backend_probe(name, why, sizeof why);
        if (error < 0 && !why[0]) snprintf(why, sizeof why, "%s", hark_strerror(error));
        printf("    {\"name\": \"%s\", \"works\": %s, \"detail\": ", name,
               error == 0 ? "true" : "false");
        format_json(stdout, why);
        printf("}%s\n", hark_backend_name(i + 1) ? "," : "");
    }
    printf("  ],\n");
    print_member("auto", choice->automatic, ",");
    print_member("HARK_BACKEND", choice->override, ",");
    print_member("used", choice->effective, "");
    printf("}\n");
}

int backends_main(int argc, char **argv)
{
    bool as_json = false;
    const struct option table[] = {
        { "--json", NULL, "prints it as data", OPTION_FLAG, &as_json, 0, 0 },
    };
    const struct command command = {
        .name = "backends", .summary = "which kernel interfaces work here", .about = about,
        .options = table, .option_count = sizeof table / sizeof *table,
    };
    switch (options_parse(&command, argc, argv, NULL)) {
    case OPTIONS_WRONG: return TOOL_MISUSED;
    case OPTIONS_HELPED: return TOOL_OK;
    default: break;
    }
    struct choice choice;
    choose(&choice);
    if (as_json) print_json(&choice);
    else print_text(&choice);
    free((void *)choice.override);
    return choice.error == 0 ? TOOL_OK : TOOL_FAILED;
}
