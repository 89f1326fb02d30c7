/* Stands for the system's <strings.h>: all is in stub.h. */
#include "stub.h"
