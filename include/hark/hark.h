/* All of hark. Each header is the manual of what it declares. */
#ifndef HARK_H
#define HARK_H

#include <hark/buffer.h>
#include <hark/error.h>
#include <hark/inspect.h>
#include <hark/io.h>
#include <hark/loop.h>
#include <hark/net.h>
#include <hark/offload.h>
#include <hark/op.h>
#include <hark/timer.h>

#endif
