// SPDX-License-Identifier: Apache-2.0
//
// The guard against memory files that shrink. A guest's memory is a file that another process may
// truncate at any time; touching a page beyond its end raises SIGBUS, which would end the process,
// on whichever thread touched it. The guard replaces such pages by private zero pages and counts
// the fault, so that the owner of the mapping can end that guest's session instead.

#ifndef VGPU_NATIVE_SIGBUS_H
#define VGPU_NATIVE_SIGBUS_H

#include <cstddef>
#include <cstdint>

namespace vgpu {

struct GuardedRange {
  uint8_t* base;       // aligned to page_bytes
  size_t bytes;        // a multiple of page_bytes
  size_t page_bytes;   // the file system's page size: larger than 4096 on hugetlbfs
  int fd;              // stays open as long as the range is registered
  uint64_t fd_offset;  // file offset of `base`
  bool readonly;
};

inline constexpr size_t kGuardedRangesMax = 1024;

/// Installs the handler (once per process) and registers a range. Returns its slot, or -1 when all
/// slots are taken.
int GuardAdd(const GuardedRange& range);

/// Removes a range; when it returns, no handler looks at it any more and it may be unmapped.
void GuardRemove(int slot);

/// How many faults were repaired in the range of `slot`.
uint32_t GuardFaults(int slot);

}  // namespace vgpu

#endif
