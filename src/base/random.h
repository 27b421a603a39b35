// Random names for things that must not meet: folders' ids, jobs, coordinators.
// From the kernel (getrandom), so two machines that boot alike differ. Threads: any.
#pragma once

#include <cstddef>
#include <string>

namespace grove {

// `bytes_count` random bytes as lower-case hex. Aborts where the kernel has no randomness.
std::string random_hex(std::size_t bytes_count);

}  // namespace grove
