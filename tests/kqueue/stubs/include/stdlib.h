/* Stands for the system's <stdlib.h>: all is in stub.h. */
#include "stub.h"
