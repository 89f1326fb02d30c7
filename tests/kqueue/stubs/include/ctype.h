/* Stands for the system's <ctype.h>: all is in stub.h. */
#include "stub.h"
