/* Stands for the system's <errno.h>: all is in stub.h. */
#include "stub.h"
