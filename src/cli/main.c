/* The hark command: finds the subcommand, prints help and version. */
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "tool.h"

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "stalls", "which call holds the loop of a running program: its line, and what it cost",
      stalls_main },
    { "idle", "what idle connections cost, measured on each backend, and a picture", idle_main },
    { "backends", "which kernel interfaces work here, and which one is chosen", backends_main },
    { "echo", "an echo server", echo_main },
    { "load", "a measuring client for anyone's echo server", load_main },
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(void)
{
    printf("hark: the loop, measured at the shell\n\nusage: hark COMMAND [options]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-12s %s\n", commands[i].name, commands[i].summary);
    printf("\n  %-12s options of a command, also CMD --help\n  %-12s this text\n"
           "  %-12s the version\n", "help CMD", "--help, -h", "--version");
    printf("\nenvironment:\n"
           "  HARK_BACKEND  the backend where none is named, such as poll or io_uring,epoll\n"
           "\nexit codes:\n"
           "  0    done, also when Ctrl-C ended it and there was something to show\n"
           "  1    could not be done, or an echo was not what was sent\n"
           "  2    the command line is wrong: one line on standard error says how\n"
           "       (stalls passes on the code of the command that it started)\n"
           "  130  Ctrl-C before there was anything to show\n");
}

static int print_version(void)
{
    printf("hark %s\n", hark_version());
    return TOOL_OK;
}

static int complain_unknown(const char *typed)
{
    const char *words[COMMANDS + 2] = { [COMMANDS] = "--help", [COMMANDS + 1] = "--version" };
    for (size_t i = 0; i < COMMANDS; i++) words[i] = commands[i].name;
    const char *nearest = options_nearest(typed, words, COMMANDS + 2);
    const char *what = typed[0] == '-' ? "option" : "command";
    if (nearest)
        tool_complain(NULL, "no %s '%s'; did you mean '%s'?", what, typed, nearest);
    else
        tool_complain(NULL, "no %s '%s'; 'hark --help' lists them", what, typed);
    return TOOL_MISUSED;
}

static int complain_extra(const char *word, const char *extra)
{
    tool_complain(NULL, "%s takes no '%s'", word, extra);
    return TOOL_MISUSED;
}

/* hark help idle: what hark idle --help prints. */
static int help_on(char *name)
{
    char help[] = "--help", *swapped[] = { name, help, NULL };
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(2, swapped);
    return complain_unknown(name);
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        tool_complain(NULL, "say what to do, such as 'hark idle'; 'hark --help' lists it");
        return TOOL_MISUSED;
    }
    const char *word = argv[1];
    bool is_option = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
    bool is_help = strcmp(word, "help") == 0, is_version = strcmp(word, "--version") == 0;
    if ((is_option || is_version) && argc > 2) return complain_extra(word, argv[2]);
    if (is_help && argc > 3) return complain_extra("help", argv[3]);
    if (is_version) return print_version();
    if (is_help && argc == 3) return help_on(argv[2]);
    if (is_help || is_option) {
        print_help();
        return TOOL_OK;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(word, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    return complain_unknown(word);
}

int main(int argc, char **argv)
{
    tool_begin();
    return tool_finish(dispatch(argc, argv));
}
