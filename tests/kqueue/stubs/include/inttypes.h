/* Stands for the system's <inttypes.h>: all is in stub.h. */
#include "stub.h"
