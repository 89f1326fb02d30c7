/* Names the machine, as Windows tells of it; wine, which plays Windows, is named with it. */
#include "show/machine.h"

#include <stdio.h>
#include <string.h>
#include <windows.h>

typedef void (*any_function)(void); /* to cast from */

static any_function find(const char *name)
{
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    return ntdll != NULL ? (any_function)GetProcAddress(ntdll, name) : NULL;
}

/* GetVersionEx() tells the version that the program says it knows. */
static void look_at_system(struct machine *machine)
{
    any_function version_of = find("RtlGetVersion"), wine = find("wine_get_version");
    OSVERSIONINFOW version = { .dwOSVersionInfoSize = sizeof version };
    if (version_of != NULL) ((LONG(WINAPI *)(OSVERSIONINFOW *))version_of)(&version);
    snprintf(machine->system, sizeof machine->system, "Windows %lu.%lu.%lu%s%s",
             version.dwMajorVersion, version.dwMinorVersion, version.dwBuildNumber,
             wine != NULL ? ", played by wine " : "",
             wine != NULL ? ((const char *(*)(void))wine)() : "");
}

static void look_at_processor(struct machine *machine)
{
    DWORD room = sizeof machine->processor;
    LSTATUS status = RegGetValueA(HKEY_LOCAL_MACHINE,
                                  "HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0",
                                  "ProcessorNameString", RRF_RT_REG_SZ, NULL, machine->processor,
                                  &room);
    if (status != ERROR_SUCCESS)
        snprintf(machine->processor, sizeof machine->processor, "unknown");
    size_t len = strlen(machine->processor);
    while (len > 0 && machine->processor[len - 1] == ' ') machine->processor[--len] = '\0';
}

void machine_look(struct machine *machine)
{
    DWORD_PTR ours = 1, all;
    look_at_system(machine);
    look_at_processor(machine);
    (void)GetProcessAffinityMask(GetCurrentProcess(), &ours, &all); /* refused: this one */
    machine->cores = __builtin_popcountll(ours);
}
