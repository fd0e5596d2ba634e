// SPDX-License-Identifier: Apache-2.0
//
// Landlock by raw system calls: libc has no wrappers, and the headers of the build machine may be
// older than the kernel that this runs on, so the ABI is written out here (see landlock(7)).

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "launcher.h"

namespace vgpu::launcher {
namespace {

// The same numbers on every architecture.
constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;

constexpr uint32_t kCreateVersion = 1;
constexpr int kRulePathBeneath = 1;

constexpr uint64_t kExecute = 1 << 0;
constexpr uint64_t kWriteFile = 1 << 1;
constexpr uint64_t kReadFile = 1 << 2;
constexpr uint64_t kReadDir = 1 << 3;
constexpr uint64_t kRemoveDir = 1 << 4;
constexpr uint64_t kRemoveFile = 1 << 5;
constexpr uint64_t kMakeDir = 1 << 7;
constexpr uint64_t kMakeReg = 1 << 8;
constexpr uint64_t kAllOfAbi1 = (1 << 13) - 1;
constexpr uint64_t kRefer = 1 << 13;     // ABI 2
constexpr uint64_t kTruncate = 1 << 14;  // ABI 3
constexpr uint64_t kIoctlDev = 1 << 15;  // ABI 5
/// What a rule for a plain file or device may hold; the rest is about folders.
constexpr uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev;

constexpr uint64_t kBindTcp = 1 << 0;     // ABI 4
constexpr uint64_t kConnectTcp = 1 << 1;  // ABI 4

constexpr uint64_t kScopeAbstractUnix = 1 << 0;  // ABI 6
constexpr uint64_t kScopeSignal = 1 << 1;        // ABI 6

struct RulesetAttr {
  uint64_t handled_fs;
  uint64_t handled_net;
  uint64_t scoped;
};

struct __attribute__((packed)) PathBeneathAttr {
  uint64_t allowed;
  int32_t parent_fd;
};

uint64_t HandledFs(int abi) {
  return kAllOfAbi1 | (abi >= 2 ? kRefer : 0) | (abi >= 3 ? kTruncate : 0) |
         (abi >= 5 ? kIoctlDev : 0);
}

void Allow(int ruleset, const std::string& path, uint64_t rights, Report& report) {
  const int fd = ::open(path.c_str(), O_PATH | O_CLOEXEC);
  if (fd < 0 && errno == EACCES) {
    // Nothing is lost by going on, but whoever wonders why a driver is not found has to know.
    report.missing.push_back("access to " + path + " (its folders are closed to this user)");
    return;
  }
  struct stat status {};
  if (fd < 0 || ::fstat(fd, &status) != 0) Fail("the path '" + path + "' can't be allowed", errno);
  const PathBeneathAttr rule{S_ISDIR(status.st_mode) ? rights : rights & kOfFiles, fd};
  if (::syscall(kAddRule, ruleset, kRulePathBeneath, &rule, 0) != 0) {
    Fail("landlock_add_rule for '" + path + "'", errno);
  }
  ::close(fd);
}

void ReportAbi(int abi, Report& report) {
  const std::string number = std::to_string(abi);
  report.applied.push_back("files by Landlock ABI " + number);
  const auto since = [&](int needed, const char* what) {
    if (abi >= needed) {
      report.applied.push_back(what);
    } else {
      report.missing.push_back(std::string(what) + " (Landlock ABI " + std::to_string(needed) +
                               "; this kernel has " + number + ")");
    }
  };
  since(3, "no truncation outside");
  since(4, "no TCP by Landlock");
  since(5, "no ioctl on other devices");
  since(6, "no signals and abstract sockets outside");
}

}  // namespace

int LandlockAbi() {
  const long abi = ::syscall(kCreateRuleset, nullptr, 0, kCreateVersion);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

void ApplyLandlock(const Paths& paths, Report& report) {
  const int abi = LandlockAbi();
  if (abi == 0) {
    report.missing.push_back("files by Landlock (this kernel has none, or it is switched off)");
    return;
  }
  const uint64_t handled = HandledFs(abi);
  RulesetAttr attr{handled, kBindTcp | kConnectTcp, kScopeAbstractUnix | kScopeSignal};
  const size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  const int ruleset = static_cast<int>(::syscall(kCreateRuleset, &attr, size, 0));
  if (ruleset < 0) Fail("landlock_create_ruleset", errno);

  // Neither links, sockets, devices nor renaming across folders: a cache needs none of them.
  const uint64_t write = kReadFile | kReadDir | kWriteFile | kTruncate | kMakeReg | kMakeDir |
                         kRemoveFile | kRemoveDir;
  const uint64_t device = kReadFile | kReadDir | kWriteFile | kIoctlDev;
  for (const auto& path : paths.read) Allow(ruleset, path, kReadFile | kReadDir, report);
  for (const auto& path : paths.list) Allow(ruleset, path, kReadDir, report);
  for (const auto& path : paths.write) Allow(ruleset, path, write & handled, report);
  for (const auto& path : paths.device) Allow(ruleset, path, device & handled, report);
  for (const auto& path : paths.execute) Allow(ruleset, path, kReadFile | kExecute, report);

  if (::syscall(kRestrictSelf, ruleset, 0) != 0) Fail("landlock_restrict_self", errno);
  ::close(ruleset);
  ReportAbi(abi, report);
}

}  // namespace vgpu::launcher
