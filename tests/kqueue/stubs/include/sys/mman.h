/* Stands for the system's <sys/mman.h>: all is in stub.h. */
#include "stub.h"
