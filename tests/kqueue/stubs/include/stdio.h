/* Stands for the system's <stdio.h>: all is in stub.h. */
#include "stub.h"
