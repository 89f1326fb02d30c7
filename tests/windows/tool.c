/* The programs that cases start: one that does as sh, cat, sleep or true does, by its name, as far
 * as the cases ask for it. As sh it also shows what a child was given: `sh --args ...`, `--env`,
 * `--end CODE`. */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <shellapi.h>

static void say(const WCHAR *text, const char *end)
{
    char utf8[4096];
    if (WideCharToMultiByte(CP_UTF8, 0, text, -1, utf8, sizeof utf8, NULL, NULL) == 0) _exit(90);
    printf("%s%s", utf8, end);
}

static int be_cat(void)
{
    static char block[65536];
    for (;;) {
        int n = _read(0, block, sizeof block);
        if (n <= 0) return n < 0;
        for (int at = 0, step; at < n; at += step) {
            step = _write(1, block + at, (unsigned)(n - at));
            if (step <= 0) return 1;
        }
    }
}

static int show_arguments(void)
{
    int count;
    WCHAR **list = CommandLineToArgvW(GetCommandLineW(), &count);
    say(list[0], "\n");
    for (int i = 2; i < count; i++) {
        printf("[");
        say(list[i], "]\n");
    }
    return 0;
}

/* Of the cases' own names: wine adds some. */
static int show_environment(void)
{
    WCHAR *all = GetEnvironmentStringsW();
    for (; *all != 0; all += wcslen(all) + 1)
        if (_wcsnicmp(all, L"HARK_", 5) == 0) say(all, "\n");
    return 0;
}

/* Says a word on another descriptor: "word >&5". */
static int echo_on(const char *word, const char *to)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%.*s\n", (int)(to - word), word);
    return _write(atoi(to + 3), line, (unsigned)len) == len ? 0 : 1;
}

/* A word: "$NAME" and "${NAME-other}" are replaced, quotation marks left out. */
static void echo(const char *word)
{
    char name[64], *other;
    size_t len = strlen(word);
    if (len >= 2 && word[0] == '"') word++, len -= 2;
    if (len == 0 || word[0] != '$') {
        printf("%.*s\n", (int)len, word);
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)len - 1, word + 1);
    name[strcspn(name, "}")] = '\0';
    other = strchr(name, '-');
    if (other != NULL) *other++ = '\0';
    const char *value = getenv(name + (name[0] == '{'));
    printf("%s\n", value != NULL ? value : other != NULL ? other : "");
}

static void show_directory(void)
{
    WCHAR path[MAX_PATH];
    if (GetCurrentDirectoryW(MAX_PATH, path) == 0) _exit(91);
    say(path, "\n");
}

static void read_line(void)
{
    char byte;
    while (_read(0, &byte, 1) == 1 && byte != '\n') {}
}

/* For a loop that counts. */
static void be_busy(void)
{
    volatile unsigned count = 0;
    while (count < 100u * 1000 * 1000) count++;
}

static int be_shell(char *script)
{
    int code = 0;
    for (char *word = strtok(script, ";"); word != NULL; word = strtok(NULL, ";")) {
        word += strspn(word, " ");
        if (strncmp(word, "exit ", 5) == 0) return atoi(word + 5);
        else if (strstr(word, " >&") != NULL) code |= echo_on(word + 5, strstr(word, " >&"));
        else if (strncmp(word, "echo ", 5) == 0) echo(word + 5);
        else if (strncmp(word, "read ", 5) == 0) read_line();
        else if (strcmp(word, "pwd") == 0) show_directory();
        else if (strncmp(word, "while ", 6) == 0) be_busy();
    }
    return code;
}

int main(int argc, char **argv)
{
    char path[MAX_PATH];
    GetModuleFileNameA(NULL, path, sizeof path);
    const char *name = strrchr(path, '\\') + 1;
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
    if (strcmp(name, "cat.exe") == 0) return be_cat();
    if (strcmp(name, "sleep.exe") == 0) Sleep(INFINITE);
    if (strcmp(name, "true.exe") == 0 || argc < 2) return 0;
    if (strcmp(argv[1], "--args") == 0) return show_arguments();
    if (strcmp(argv[1], "--env") == 0) return show_environment();
    if (argc > 2 && strcmp(argv[1], "--end") == 0)
        ExitProcess((UINT)strtoul(argv[2], NULL, 0));
    return argc > 2 ? be_shell(argv[2]) : 92;
}
