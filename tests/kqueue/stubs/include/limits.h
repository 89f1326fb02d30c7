/* Stands for the system's <limits.h>: all is in stub.h. */
#include "stub.h"
