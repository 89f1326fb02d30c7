/* Stands for the system's <string.h>: all is in stub.h. */
#include "stub.h"
