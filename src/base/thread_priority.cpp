#include "base/thread_priority.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <tuple>

namespace grove {
namespace {

// linux/ioprio.h (Debian 12's headers have it, older ones do not): class in bits 13 to 15, level
// within it below. "Who" 1 with id 0 is the calling thread.
constexpr int io_class_shift = 13;
constexpr int io_class_best_effort = 2;
constexpr int io_class_idle = 3;
constexpr int io_level_lowest = 7;
constexpr int io_who_process = 1;

void lower_io(IoPriority priority) {
  if (priority == IoPriority::normal) return;
  int const value = priority == IoPriority::idle
                        ? io_class_idle << io_class_shift
                        : io_class_best_effort << io_class_shift | io_level_lowest;
  std::ignore = ::syscall(SYS_ioprio_set, io_who_process, 0, value);
}

}  // namespace

void lower_this_thread(WorkPriority priority) {
  // "Who" 0 is, against POSIX, the calling thread alone (setpriority(2), "C library/kernel
  // differences").
  if (priority.nice > ::getpriority(PRIO_PROCESS, 0)) {
    std::ignore = ::setpriority(PRIO_PROCESS, 0, priority.nice);
  }
  lower_io(priority.io);
}

}  // namespace grove
