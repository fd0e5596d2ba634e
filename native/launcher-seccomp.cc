// SPDX-License-Identifier: Apache-2.0
//
// A filter of system calls, for what Landlock does not cover on any kernel (UDP and other networks,
// new processes) or only on new ones (signals to others). It is a list of what is barred, not of
// what is allowed: closed GPU drivers use calls that nobody here can enumerate.
//
// What is allowed for one's own process only is compared with this process's id: execve keeps it.
// New processes are barred, so the instance stays the one process whose id the broker knows, and
// the broker can tell it by its id at the control socket.

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "launcher.h"

namespace vgpu::launcher {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr uint32_t kArchitecture = 0;
#endif

/// Calls of the 32-bit-pointer ABI of x86-64 carry this bit.
[[maybe_unused]] constexpr uint32_t kX32Bit = 0x40000000;
/// Numbers that are the same everywhere, for headers that lack them.
constexpr uint32_t kSysClone3 = 435;
constexpr uint32_t kIoUringSetup = 425;
constexpr uint32_t kMountSetattr = 442;

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t Refuse(uint32_t error) { return SECCOMP_RET_ERRNO | error; }

/// CLONE_NEWTIME shares its bit with the exit signal of clone; a thread has none.
constexpr uint32_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

class Filter {
 public:
  void Add(uint16_t code, uint32_t value) { program_.push_back(BPF_STMT(code, value)); }
  void Jump(uint16_t test, uint32_t value, uint8_t yes, uint8_t no) {
    program_.push_back(BPF_JUMP(static_cast<uint16_t>(BPF_JMP | test | BPF_K), value, yes, no));
  }
  void Return(uint32_t result) { Add(BPF_RET | BPF_K, result); }
  void Load(size_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  /// The low half of an argument: all that the kernel reads of an int.
  void LoadArgument(size_t index) {
    Load(offsetof(seccomp_data, args) + index * sizeof(uint64_t));
  }

  // Each rule tests the number in the accumulator, which it leaves alone unless it is its own, and
  // then ends in a result.
  void Bar(uint32_t number, uint32_t error) {
    Jump(BPF_JEQ, number, 0, 1);
    Return(Refuse(error));
  }
  /// Allows the call only if its argument is one of `values`.
  void Only(uint32_t number, size_t index, std::initializer_list<uint32_t> values, uint32_t error) {
    const auto count = static_cast<uint8_t>(values.size());
    Jump(BPF_JEQ, number, 0, static_cast<uint8_t>(count + 3));
    LoadArgument(index);
    uint8_t left = count;
    for (const uint32_t value : values) Jump(BPF_JEQ, value, left--, 0);
    Return(Refuse(error));
    Return(kAllow);
  }
  /// Bars the call if its argument is one of `values`.
  void Except(uint32_t number, size_t index, std::initializer_list<uint32_t> values) {
    const auto count = static_cast<uint8_t>(values.size());
    Jump(BPF_JEQ, number, 0, static_cast<uint8_t>(count + 3));
    LoadArgument(index);
    uint8_t left = count;
    for (const uint32_t value : values) Jump(BPF_JEQ, value, left--, 0);
    Return(kAllow);
    Return(Refuse(EPERM));
  }
  void OnlyThreads() {
    Jump(BPF_JEQ, SYS_clone, 0, 5);
    LoadArgument(0);
    Jump(BPF_JSET, kNewNamespaces, 1, 0);
    Jump(BPF_JSET, CLONE_THREAD, 1, 0);
    Return(Refuse(EPERM));
    Return(kAllow);
    // The flags of clone3 lie in memory; without it libc uses clone.
    Bar(kSysClone3, ENOSYS);
#ifdef SYS_fork
    Bar(SYS_fork, EPERM);
    Bar(SYS_vfork, EPERM);
#endif
  }

  [[nodiscard]] sock_fprog Program() {
    return {static_cast<unsigned short>(program_.size()), program_.data()};
  }

 private:
  std::vector<sock_filter> program_;
};

void AddPrologue(Filter& filter) {
  filter.Load(offsetof(seccomp_data, arch));
  filter.Jump(BPF_JEQ, kArchitecture, 1, 0);
  filter.Return(SECCOMP_RET_KILL_PROCESS);
  filter.Load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  filter.Jump(BPF_JGE, kX32Bit, 0, 1);
  filter.Return(Refuse(ENOSYS));
#endif
}

/// Other processes: none new, and none to be signalled, read or changed.
void AddProcessRules(Filter& filter) {
  const auto self = static_cast<uint32_t>(::getpid());
  filter.OnlyThreads();
  for (const uint32_t number :
       {SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo}) {
    filter.Only(number, 0, {self}, EPERM);
  }
  filter.Only(SYS_prlimit64, 0, {0, self}, EPERM);
  // A descriptor's owner gets signals; F_SETSIG chooses which.
  filter.Except(SYS_fcntl, 1, {F_SETOWN, F_SETOWN_EX, F_SETSIG});
  // The instance ends with its broker.
  filter.Except(SYS_prctl, 0, {PR_SET_PDEATHSIG});
  // Mesa compares its own descriptors.
  filter.Only(SYS_kcmp, 0, {self}, EPERM);
  for (const uint32_t number : {SYS_tkill, SYS_pidfd_send_signal, SYS_ptrace, SYS_process_vm_readv,
                                SYS_process_vm_writev}) {
    filter.Bar(number, EPERM);
  }
#ifdef SYS_pidfd_getfd
  filter.Bar(SYS_pidfd_getfd, EPERM);
#endif
}

/// The kernel's own surface: what no renderer needs, and much of what privilege was gained by.
void AddKernelRules(Filter& filter) {
  filter.Only(SYS_socket, 0, {AF_UNIX}, EAFNOSUPPORT);
  // Characters typed into the operator's terminal, which may be our stderr.
  filter.Except(SYS_ioctl, 1, {TIOCSTI, TIOCLINUX});
  // io_uring does many of these calls past any filter.
  for (uint32_t offset = 0; offset < 3; ++offset) filter.Bar(kIoUringSetup + offset, ENOSYS);
  // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick: 428 to 433.
  for (uint32_t number = 428; number <= 433; ++number) filter.Bar(number, EPERM);
  for (const uint32_t number :
       {uint32_t{SYS_mount}, uint32_t{SYS_umount2}, uint32_t{SYS_pivot_root}, kMountSetattr,
        uint32_t{SYS_chroot}, uint32_t{SYS_unshare}, uint32_t{SYS_setns}, uint32_t{SYS_bpf},
        uint32_t{SYS_perf_event_open}, uint32_t{SYS_userfaultfd}, uint32_t{SYS_add_key},
        uint32_t{SYS_request_key}, uint32_t{SYS_keyctl}, uint32_t{SYS_init_module},
        uint32_t{SYS_finit_module}, uint32_t{SYS_delete_module}, uint32_t{SYS_kexec_load},
        uint32_t{SYS_reboot}, uint32_t{SYS_swapon}, uint32_t{SYS_swapoff}, uint32_t{SYS_acct},
        uint32_t{SYS_quotactl}, uint32_t{SYS_syslog}, uint32_t{SYS_settimeofday},
        uint32_t{SYS_clock_settime}, uint32_t{SYS_open_by_handle_at}, uint32_t{SYS_shmget},
        uint32_t{SYS_msgget}, uint32_t{SYS_semget}}) {
    filter.Bar(number, EPERM);
  }
}

}  // namespace

void ApplySystemCallFilter(Report& report) {
  if (kArchitecture == 0) {
    report.missing.push_back("system call filter (it is not written for this architecture)");
    return;
  }
  Filter filter;
  AddPrologue(filter);
  AddProcessRules(filter);
  AddKernelRules(filter);
  filter.Return(kAllow);
  sock_fprog program = filter.Program();
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
    if (errno != EINVAL && errno != ENOSYS) Fail("prctl(PR_SET_SECCOMP)", errno);
    report.missing.push_back("system call filter (this kernel has none)");
    return;
  }
  report.applied.push_back("system call filter: no new processes, no network, no signals to others");
}

}  // namespace vgpu::launcher
