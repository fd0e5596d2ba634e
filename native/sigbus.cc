// SPDX-License-Identifier: Apache-2.0
//
// The SIGBUS guard (see sigbus.h). The handler runs on any thread, in the middle of anything, so it
// uses only a fixed table of lock-free atomics and the system calls fstat and mmap.
//
//   register:  fields, then `base` (release)      handler:  in_handler++, scan `base` (acquire),
//   remove:    base = 0, wait for in_handler == 0           repair, in_handler--
//
// so that a range is never unmapped, and its address reused, while a handler repairs it.

#include "sigbus.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>

namespace vgpu {
namespace {

struct Slot {
  std::atomic<uintptr_t> base{0};
  std::atomic<bool> taken{false};
  std::atomic<size_t> bytes{0};
  std::atomic<size_t> page_bytes{0};
  std::atomic<int> fd{-1};
  std::atomic<uint64_t> fd_offset{0};
  std::atomic<bool> readonly{false};
  std::atomic<uint32_t> faults{0};
};

static_assert(std::atomic<uintptr_t>::is_always_lock_free);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

std::array<Slot, kGuardedRangesMax> g_slots;
std::atomic<uint32_t> g_in_handler{0};
struct sigaction g_previous {};
std::once_flag g_installed;

bool MapZero(uintptr_t from, size_t bytes, bool readonly) {
  const int protection = readonly ? PROT_READ : PROT_READ | PROT_WRITE;
  // SAFETY: [from, from + bytes) lies inside a registered range, whose owner waits in GuardRemove
  // for this handler before it unmaps; the private pages replace file pages that are gone.
  return ::mmap(reinterpret_cast<void*>(from), bytes, protection,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
                0) != MAP_FAILED;
}

/// Replaces what the file no longer backs. The whole tail beyond the file's end goes at once: page
/// by page, a guest could make the process exceed the kernel's limit of mappings.
bool RepairSlot(const Slot& slot, uintptr_t base, uintptr_t address) {
  const size_t bytes = slot.bytes.load(std::memory_order_relaxed);
  const size_t page = slot.page_bytes.load(std::memory_order_relaxed);
  const bool readonly = slot.readonly.load(std::memory_order_relaxed);
  const uintptr_t fault_page = base + (address - base) / page * page;
  struct stat status {};
  if (::fstat(slot.fd.load(std::memory_order_relaxed), &status) == 0 && S_ISREG(status.st_mode)) {
    const uint64_t offset = slot.fd_offset.load(std::memory_order_relaxed);
    const uint64_t size = static_cast<uint64_t>(status.st_size);
    const uint64_t backed = size > offset ? size - offset : 0;
    const uint64_t first_gone = (backed + page - 1) / page * page;
    if (first_gone <= fault_page - base &&
        MapZero(base + first_gone, bytes - first_gone, readonly)) {
      return true;
    }
  }
  // Not beyond the end: the page itself is lost (no space left, a memory failure).
  return MapZero(fault_page, page, readonly);
}

bool Repair(uintptr_t address) {
  for (Slot& slot : g_slots) {
    const uintptr_t base = slot.base.load(std::memory_order_seq_cst);
    if (base == 0 || address < base) continue;
    if (address - base >= slot.bytes.load(std::memory_order_relaxed)) continue;
    if (!RepairSlot(slot, base, address)) return false;
    slot.faults.fetch_add(1, std::memory_order_release);
    return true;
  }
  return false;
}

void Chain(int signal, siginfo_t* info, void* context) {
  if ((g_previous.sa_flags & SA_SIGINFO) != 0 && g_previous.sa_sigaction != nullptr) {
    g_previous.sa_sigaction(signal, info, context);
    return;
  }
  if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) {
    g_previous.sa_handler(signal);
    return;
  }
  if (g_previous.sa_handler == SIG_IGN && info->si_code <= 0) return;
  // Back to the default action: a fault happens again on return and ends the process with a core
  // that shows where; a signal that was sent is raised again.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGBUS, &standard, nullptr);
  if (info->si_code <= 0) ::raise(SIGBUS);
}

void OnSigbus(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  bool repaired = false;
  // A positive code means that the kernel reports a fault; otherwise si_addr has no meaning.
  if (info->si_code > 0) {
    g_in_handler.fetch_add(1, std::memory_order_seq_cst);
    repaired = Repair(reinterpret_cast<uintptr_t>(info->si_addr));
    g_in_handler.fetch_sub(1, std::memory_order_seq_cst);
  }
  if (!repaired) Chain(signal, info, context);
  errno = saved_errno;
}

void Install() {
  struct sigaction action {};
  action.sa_sigaction = OnSigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &g_previous);
}

}  // namespace

int GuardAdd(const GuardedRange& range) {
  std::call_once(g_installed, Install);
  for (size_t index = 0; index < g_slots.size(); ++index) {
    Slot& slot = g_slots[index];
    if (slot.taken.exchange(true, std::memory_order_acq_rel)) continue;
    slot.bytes.store(range.bytes, std::memory_order_relaxed);
    slot.page_bytes.store(range.page_bytes, std::memory_order_relaxed);
    slot.fd.store(range.fd, std::memory_order_relaxed);
    slot.fd_offset.store(range.fd_offset, std::memory_order_relaxed);
    slot.readonly.store(range.readonly, std::memory_order_relaxed);
    slot.faults.store(0, std::memory_order_relaxed);
    slot.base.store(reinterpret_cast<uintptr_t>(range.base), std::memory_order_seq_cst);
    return static_cast<int>(index);
  }
  return -1;
}

void GuardRemove(int index) {
  Slot& slot = g_slots[static_cast<size_t>(index)];
  slot.base.store(0, std::memory_order_seq_cst);
  while (g_in_handler.load(std::memory_order_seq_cst) != 0) ::sched_yield();
  slot.taken.store(false, std::memory_order_release);
}

uint32_t GuardFaults(int index) {
  return g_slots[static_cast<size_t>(index)].faults.load(std::memory_order_acquire);
}

}  // namespace vgpu
