/* hark stalls where it could not be built: says what is missing. */
#include "tool.h"

int stalls_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    tool_complain("stalls", "left out of this build: it is for Linux, and needs elfutils"
                  " (Debian: libdw-dev and libelf-dev)");
    return TOOL_FAILED;
}
