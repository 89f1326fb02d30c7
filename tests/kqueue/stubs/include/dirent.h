/* Stands for the system's <dirent.h>: all is in stub.h. */
#include "stub.h"
