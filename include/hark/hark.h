/* All of hark. Each header is the manual of what it declares. */
#ifndef HARK_H
#define HARK_H

#include <hark/blocking.h>
#include <hark/buffer.h>
#include <hark/channel.h>
#include <hark/datagram.h>
#include <hark/descriptor.h>
#include <hark/dns.h>
#include <hark/drain.h>
#include <hark/error.h>
#include <hark/fiber.h>
#include <hark/fiber_file.h>
#include <hark/file.h>
#include <hark/inspect.h>
#include <hark/io.h>
#include <hark/loop.h>
#include <hark/net.h>
#include <hark/offload.h>
#include <hark/op.h>
#include <hark/process.h>
#include <hark/scope.h>
#include <hark/signal.h>
#include <hark/stall.h>
#include <hark/stream.h>
#include <hark/sync.h>
#include <hark/systemd.h>
#include <hark/terminal.h>
#include <hark/timer.h>
#include <hark/watch.h>

#endif
