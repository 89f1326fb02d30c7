/* Stands for the system's <time.h>: all is in stub.h. */
#include "stub.h"
