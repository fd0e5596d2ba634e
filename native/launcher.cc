// SPDX-License-Identifier: Apache-2.0
//
// vgpu-launch: confines itself, then executes a program in its own place (same process, same id).
// It exists because Landlock and the filter of system calls bind threads: Node and the Vulkan
// loader start theirs before any script runs, so whatever confines them must have happened before.
//
// What to confine to is the broker's decision (src/broker/confinement.ts); this is the mechanism.
// Order: descriptors, limits, capabilities, user, death signal (a change of user clears it), no new
// privileges, Landlock, system calls. Whatever fails ends the launcher: only what the kernel does
// not have at all is passed over, and is then named in the report.

#include "launcher.h"

#include <elf.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace vgpu::launcher {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoProgram = 126;
/// The highest number that an id may have; the one above means "no change" to the kernel.
constexpr uint64_t kIdMax = 0xfffffffe;

constexpr const char* kHelp =
    R"(usage: vgpu-launch [OPTION=VALUE]... -- PROGRAM [ARGUMENT]...
       vgpu-launch --probe [--user=USER]

Confines itself, then executes PROGRAM (an absolute path) in its own place.

  --user=USER        become NAME, UID:GID or NAME:GROUP, without supplementary groups; root only
  --parent=PID       end (SIGKILL) when the parent ends, which must be PID now
  --limit=NAME=N     lower a resource limit: core, nofile, nproc, as, data, fsize, memlock, stack
                     (bytes or a count); may be given several times
  --read=PATH        files and folders that may be read           } several times; all other files
  --list=PATH        folders that may be listed, but not read in  } are refused where the kernel
  --write=PATH       folders in which files may be made as well   } has Landlock
  --device=PATH      devices that may be read, written, ioctl-ed  }
  --private=PATH     a folder that is made if absent, given to USER, and allowed as by --write;
                     may be given several times
  --last-fd=N        close every descriptor above N
  --report-fd=N      write what was applied there as JSON, instead of as text to stderr
  --probe            print as JSON what this kernel has, and the ids of USER
  --help             this

Always: no new privileges, no capabilities, umask 077, and a filter of system calls that bars new
processes, networks, signals to other processes and much of the kernel's administration.
)";

/// Text as messages show it; built by appending, which GCC 12 does not warn about.
std::string InQuotes(std::string_view text) {
  std::string out(1, '\'');
  out.append(text);
  out.push_back('\'');
  return out;
}

[[noreturn]] void Usage(const std::string& what) {
  std::fprintf(stderr, "vgpu-launch: %s; see vgpu-launch --help\n", what.c_str());
  std::exit(kExitUsage);
}

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
};

struct Limit {
  const char* name;
  int resource;
};
constexpr std::array<Limit, 8> kLimits{{{"core", RLIMIT_CORE},
                                        {"nofile", RLIMIT_NOFILE},
                                        {"nproc", RLIMIT_NPROC},
                                        {"as", RLIMIT_AS},
                                        {"data", RLIMIT_DATA},
                                        {"fsize", RLIMIT_FSIZE},
                                        {"memlock", RLIMIT_MEMLOCK},
                                        {"stack", RLIMIT_STACK}}};

struct Options {
  bool probe = false;
  std::optional<std::string> user;
  std::optional<uint64_t> parent;
  std::optional<uint64_t> last_fd;
  std::optional<uint64_t> report_fd;
  std::vector<std::string> private_folders;
  std::vector<std::pair<Limit, uint64_t>> limits;
  Paths paths;
  char** program = nullptr;
};

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

uint64_t NumberOf(std::string_view name, std::string_view text, uint64_t max) {
  const auto number = ParseNumber(text);
  if (!number || *number > max) {
    Usage(std::string(name) + ": " + InQuotes(text) + " is no number from 0 to " +
          std::to_string(max));
  }
  return *number;
}

std::string PathOf(std::string_view name, std::string_view text) {
  if (text.empty() || text.front() != '/') {
    Usage(std::string(name) + ": " + InQuotes(text) + " is no absolute path");
  }
  return std::string(text);
}

std::pair<Limit, uint64_t> LimitOf(std::string_view text) {
  const size_t sign = text.find('=');
  const std::string_view name = text.substr(0, sign);
  for (const Limit& limit : kLimits) {
    if (sign != std::string_view::npos && name == limit.name) {
      return {limit, NumberOf("--limit=" + std::string(name), text.substr(sign + 1), UINT64_MAX - 1)};
    }
  }
  Usage("--limit: " + InQuotes(text) + " is no limit of the form NAME=N");
}

template <typename T>
void Once(std::optional<T>& option, T value, std::string_view name) {
  if (option) Usage(std::string(name) + " is given twice");
  option = std::move(value);
}

void ParseOption(std::string_view argument, Options& options) {
  const size_t sign = argument.find('=');
  const std::string_view name = argument.substr(0, sign);
  if (sign == std::string_view::npos) Usage(InQuotes(argument) + " is no option");
  const std::string_view value = argument.substr(sign + 1);
  if (name == "--user") {
    Once(options.user, std::string(value), name);
  } else if (name == "--parent") {
    Once(options.parent, NumberOf(name, value, INT32_MAX), name);
  } else if (name == "--limit") {
    options.limits.push_back(LimitOf(value));
  } else if (name == "--read") {
    options.paths.read.push_back(PathOf(name, value));
  } else if (name == "--list") {
    options.paths.list.push_back(PathOf(name, value));
  } else if (name == "--write") {
    options.paths.write.push_back(PathOf(name, value));
  } else if (name == "--device") {
    options.paths.device.push_back(PathOf(name, value));
  } else if (name == "--private") {
    options.private_folders.push_back(PathOf(name, value));
  } else if (name == "--last-fd") {
    Once(options.last_fd, NumberOf(name, value, INT32_MAX), name);
  } else if (name == "--report-fd") {
    Once(options.report_fd, NumberOf(name, value, INT32_MAX), name);
  } else {
    Usage(InQuotes(argument) + " is no option");
  }
}

Options Parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--help") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    }
    if (argument == "--probe") {
      options.probe = true;
    } else if (argument == "--") {
      options.program = arguments + i + 1;
      break;
    } else {
      ParseOption(argument, options);
    }
  }
  if (options.probe) return options;
  if (options.program == nullptr || *options.program == nullptr) Usage("no program is given");
  PathOf("the program", *options.program);
  if (options.report_fd && options.last_fd && *options.report_fd > *options.last_fd) {
    Usage("--report-fd lies above --last-fd and would be closed");
  }
  return options;
}

/// NAME, NAME:GROUP, UID:GID; numbers and names may be mixed, but a number alone has no group.
User ResolveUser(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  const auto number = ParseNumber(name);
  errno = 0;
  const passwd* entry = number ? nullptr : ::getpwnam(name.c_str());
  if (!number && entry == nullptr) Usage("--user: there is no user " + InQuotes(name));
  User user;
  user.uid = number ? static_cast<uid_t>(*number) : entry->pw_uid;
  if (colon == std::string::npos) {
    if (number) Usage("--user: " + InQuotes(text) + " needs a group: UID:GID");
    user.gid = entry->pw_gid;
  } else {
    const std::string group = text.substr(colon + 1);
    const auto gid = ParseNumber(group);
    const auto* found = gid ? nullptr : ::getgrnam(group.c_str());
    if (!gid && found == nullptr) Usage("--user: there is no group " + InQuotes(group));
    if (gid.value_or(0) > kIdMax) Usage("--user: " + group + " is no group id");
    user.gid = gid ? static_cast<gid_t>(*gid) : found->gr_gid;
  }
  if (number.value_or(0) > kIdMax) Usage("--user: " + name + " is no user id");
  if (user.uid == 0) Usage("--user: " + InQuotes(text) + " is root, which would confine nothing");
  return user;
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

std::string ListOf(const std::vector<std::string>& items, bool json) {
  std::string out;
  for (const auto& item : items) {
    if (!out.empty()) out += json ? "," : "; ";
    out += json ? Quoted(item) : item;
  }
  return json ? "[" + out + "]" : out;
}

[[noreturn]] void Probe(const Options& options) {
  std::string out = "{\"landlockAbi\":" + std::to_string(LandlockAbi());
  if (options.user) {
    const User user = ResolveUser(*options.user);
    out += ",\"uid\":" + std::to_string(user.uid) + ",\"gid\":" + std::to_string(user.gid);
  }
  std::puts((out + "}").c_str());
  std::exit(0);
}

void CloseAbove(uint64_t last_fd, Report& report) {
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
  if (::syscall(SYS_close_range, static_cast<unsigned>(last_fd + 1), ~0U, 0U) != 0) {
    if (errno != ENOSYS) Fail("close_range", errno);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    for (uint64_t fd = last_fd + 1; fd < limit.rlim_cur; ++fd) ::close(static_cast<int>(fd));
  }
  report.applied.push_back("no descriptors above " + std::to_string(last_fd));
}

/// Limits are only ever lowered: a limit that is lower already stays.
void LowerLimits(const Options& options, Report& report) {
  for (const auto& [limit, value] : options.limits) {
    rlimit now{};
    const auto resource = static_cast<__rlimit_resource_t>(limit.resource);
    if (::getrlimit(resource, &now) != 0) Fail("getrlimit", errno);
    if (now.rlim_max > value) now.rlim_max = value;
    if (now.rlim_cur > now.rlim_max) now.rlim_cur = now.rlim_max;
    if (::setrlimit(resource, &now) != 0) Fail(std::string("the limit ") + limit.name, errno);
    report.applied.push_back(std::string("limit ") + limit.name + "=" +
                             std::to_string(now.rlim_max));
  }
}

/// Without a bounding set, not even root gets capabilities back at execve.
void DropBoundingSet() {
  for (unsigned long capability = 0;; ++capability) {
    const int has = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (has < 0) return;  // past the last one that this kernel knows
    if (has == 1 && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
      if (errno == EPERM) return;  // not privileged: there is nothing to take away
      Fail("prctl(PR_CAPBSET_DROP)", errno);
    }
  }
}

void DropCapabilities(Report& report) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) Fail("capset", errno);
  report.applied.push_back("no capabilities");
}

/// The folder of the program alone. Made while still privileged, in a folder that only we may write.
void MakePrivate(const std::string& path, const std::optional<User>& user) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    Fail("the private folder " + InQuotes(path) + " can't be made", errno);
  }
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) Fail("the private folder " + InQuotes(path), errno);
  if (user && ::fchown(fd, user->uid, user->gid) != 0) {
    Fail("the private folder " + InQuotes(path) + " can't be given away", errno);
  }
  ::close(fd);
}

void BecomeUser(const User& user) {
  if (::setgroups(0, nullptr) != 0) Fail("setgroups", errno);
  if (::setresgid(user.gid, user.gid, user.gid) != 0) Fail("setresgid", errno);
  if (::setresuid(user.uid, user.uid, user.uid) != 0) Fail("setresuid", errno);
  if (::setuid(0) == 0) Fail("the user id can be taken back", 0);
}

void ApplyUser(const std::optional<User>& user, Report& report) {
  if (!user) {
    report.missing.push_back("a user of its own (it runs as uid " + std::to_string(::getuid()) +
                             "; see --user)");
    return;
  }
  BecomeUser(*user);
  report.applied.push_back("user " + std::to_string(user->uid) + ":" + std::to_string(user->gid));
}

void DieWith(uint64_t parent, Report& report) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) Fail("prctl(PR_SET_PDEATHSIG)", errno);
  // It may have ended before: then nobody sends the signal.
  if (static_cast<uint64_t>(::getppid()) != parent) {
    Fail("the parent is process " + std::to_string(::getppid()) + ", not " +
             std::to_string(parent) + ": it has ended",
         0);
  }
  report.applied.push_back("ends with its parent");
}

/// The ELF interpreter that the kernel executes with the program; empty for a static one.
std::string InterpreterOf(const std::string& program) {
  const int fd = ::open(program.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Fail("the program " + InQuotes(program), errno);
  Elf64_Ehdr header{};
  std::string found;
  const bool elf = ::pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
                   std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
                   header.e_ident[EI_CLASS] == ELFCLASS64 &&
                   header.e_phentsize == sizeof(Elf64_Phdr);
  if (!elf) Fail("the program " + InQuotes(program) + " is no 64-bit ELF file", 0);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part{};
    const auto at = static_cast<off_t>(header.e_phoff + i * sizeof(part));
    if (::pread(fd, &part, sizeof(part), at) != sizeof(part)) break;
    if (part.p_type != PT_INTERP || part.p_filesz < 2 || part.p_filesz > 4096) continue;
    found.resize(part.p_filesz);
    const auto got = ::pread(fd, found.data(), found.size(), static_cast<off_t>(part.p_offset));
    if (got != static_cast<ssize_t>(found.size())) Fail("the program " + InQuotes(program), errno);
    found.resize(std::strlen(found.c_str()));
  }
  ::close(fd);
  return found;
}

void WriteReport(const Options& options, const Report& report) {
  const std::string text =
      options.report_fd
          ? "{\"applied\":" + ListOf(report.applied, true) +
                ",\"missing\":" + ListOf(report.missing, true) + "}\n"
          : "vgpu-launch: applied: " + ListOf(report.applied, false) +
                (report.missing.empty() ? "" : "; missing: " + ListOf(report.missing, false)) + "\n";
  const int fd = options.report_fd ? static_cast<int>(*options.report_fd) : STDERR_FILENO;
  const ssize_t written = ::write(fd, text.data(), text.size());
  // Nobody may be listening on stderr; a report that was asked for must arrive.
  if (!options.report_fd) return;
  if (written != static_cast<ssize_t>(text.size())) Fail("the report can't be written", errno);
  ::close(fd);
}

[[noreturn]] void Run(Options options) {
  Report report;
  // Names are looked up, and the program read, before it gets hard to reach files.
  std::optional<User> user;
  if (options.user) user = ResolveUser(*options.user);
  if (user && ::geteuid() != 0) Usage("--user needs root; this is uid " + std::to_string(::geteuid()));
  const std::string interpreter = InterpreterOf(*options.program);

  ::umask(077);
  if (options.last_fd) CloseAbove(*options.last_fd, report);
  for (const auto& folder : options.private_folders) {
    MakePrivate(folder, user);
    options.paths.write.push_back(folder);
  }
  options.paths.execute.emplace_back(*options.program);
  if (!interpreter.empty()) options.paths.execute.push_back(interpreter);
  LowerLimits(options, report);
  DropBoundingSet();
  ApplyUser(user, report);
  DropCapabilities(report);
  if (options.parent) DieWith(*options.parent, report);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Fail("prctl(PR_SET_NO_NEW_PRIVS)", errno);
  report.applied.emplace_back("no new privileges");
  ApplyLandlock(options.paths, report);
  ApplySystemCallFilter(report);
  WriteReport(options, report);
  ::execv(*options.program, options.program);
  std::fprintf(stderr, "vgpu-launch: '%s' can't be executed%s: %s\n", *options.program,
               user ? " by that user" : "", std::strerror(errno));
  std::exit(kExitNoProgram);
}

}  // namespace

void Fail(const std::string& what, int error) {
  std::fprintf(stderr, "vgpu-launch: %s%s%s\n", what.c_str(), error == 0 ? "" : ": ",
               error == 0 ? "" : std::strerror(error));
  std::exit(kExitFailure);
}

}  // namespace vgpu::launcher

int main(int count, char** arguments) {
  vgpu::launcher::Options options = vgpu::launcher::Parse(count, arguments);
  if (options.probe) vgpu::launcher::Probe(options);
  vgpu::launcher::Run(std::move(options));
}
