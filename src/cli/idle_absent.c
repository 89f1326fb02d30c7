/* hark idle where it could not measure: it counts system calls by ptrace(2) and memory by /proc. */
#include "tool.h"

int idle_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    tool_complain("idle", "left out of this build: it measures on Linux only");
    return TOOL_FAILED;
}
