/* Stands for the system's <dlfcn.h>: all is in stub.h. */
#include "stub.h"
