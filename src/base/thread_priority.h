// How much a thread gives way to the other work of its machine: a trainer shares its cores and
// disks with grove. Linux keeps both per thread. Threads: any; it is about the caller's own.
#pragma once

#include "base/config.h"

namespace grove {

// Lowers the calling thread's priority; never raises it. Where the system refuses (a container
// without the call), the thread goes on as it was: only speed is at stake.
void lower_this_thread(WorkPriority priority);

}  // namespace grove
