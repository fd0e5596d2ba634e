// SPDX-License-Identifier: Apache-2.0
//
// What the parts of vgpu-launch share. The program stands alone: no Node-API, nothing but libc, so
// that all of it has run before the first instruction of Node does.

#ifndef VGPU_NATIVE_LAUNCHER_H
#define VGPU_NATIVE_LAUNCHER_H

#include <string>
#include <vector>

namespace vgpu::launcher {

/// What has been done, and what this kernel or this user cannot do; both end in the report.
struct Report {
  std::vector<std::string> applied;
  std::vector<std::string> missing;
};

/// Files that the program may reach; all else is refused where the kernel has Landlock.
struct Paths {
  std::vector<std::string> read;    ///< read, and list folders
  std::vector<std::string> list;    ///< list folders only
  std::vector<std::string> write;   ///< create, change and remove below
  std::vector<std::string> device;  ///< read, write, ioctl
  std::vector<std::string> execute;
};

/// Ends the launcher with a message; `error` is an errno, or 0.
[[noreturn]] void Fail(const std::string& what, int error);

/// The kernel's Landlock ABI, or 0 where it has none or it is switched off.
int LandlockAbi();
/// Confines this process to `paths`. Needs no_new_privs.
void ApplyLandlock(const Paths& paths, Report& report);

/// Installs the filter of system calls. Needs no_new_privs; nothing after it may need what it bars.
void ApplySystemCallFilter(Report& report);

}  // namespace vgpu::launcher

#endif
