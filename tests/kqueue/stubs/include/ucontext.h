/* Stands for the system's <ucontext.h>: all is in stub.h. */
#include "stub.h"
