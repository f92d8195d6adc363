#include "client/detail/native_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/text.h"
#include "client/errors.h"

namespace penstock::client::detail {
namespace {

// libtaosnative.so is what libtaos.so loads since 3.3.6; it has the same functions.
constexpr const char* kNames[] = {"libtaos.so", "libtaos.so.1", "libtaosnative.so"};

[[noreturn]] void fail(const std::string& library, const std::string& what) {
  throw InterfaceError(Errc::unsupported, what, Place{library, "load", 0});
}

std::string loader_error() {
  const char* const text = ::dlerror();
  return printable(text == nullptr ? "no reason given" : text, 300);
}

template <class F>
void find(void* handle, const char* symbol, F*& function) {
  function = reinterpret_cast<F*>(::dlsym(handle, symbol));
}

}  // namespace

std::string version_of_info(const char* info) {
  std::string_view text = info == nullptr ? std::string_view() : std::string_view(info);
  if (const auto at = text.find("ver:"); at != std::string_view::npos) text.remove_prefix(at + 4);
  while (!text.empty() && (text.front() == ' ' || text.front() == 'v')) text.remove_prefix(1);
  if (text.empty() || text.front() < '0' || text.front() > '9') return {};
  return std::string(text.substr(0, text.find_first_of(" \t\r\n,;")));
}

bool NativeLibrary::at_least(const std::array<unsigned, 4>& version) const noexcept {
  return version_at_least(version_, version);
}

void NativeLibrary::missing(std::string_view name, std::string_view what) const {
  fail(path_,
       fmt::format("TDengine's client library '{}' {} has no function '{}', which {} needs: install the client of "
                   "the server's version, or connect by ws://",
                   path_, version_.empty() ? "(of unknown version)" : version_, name, what));
}

void NativeLibrary::load(const std::string& library) {
  void* handle = nullptr;
  std::string troubles;
  const auto open = [&](const char* name) {
    handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) path_ = name;
    else troubles += (troubles.empty() ? "" : "; ") + loader_error();
    return handle != nullptr;
  };
  if (!library.empty()) {
    if (!open(library.c_str()))
      fail(library, fmt::format("cannot load TDengine's client library '{}': {}", printable(library), troubles));
  } else {
    bool found = false;
    for (const char* const name : kNames) {
      if ((found = open(name))) break;
    }
    if (!found)
      fail(
          kNames[0],
          fmt::format("cannot load TDengine's client library, which taos:// needs ({}): install the TDengine client of "
                      "the server's version, name the file with the option library=/path/libtaos.so, or connect by "
                      "ws:// to port 6041, which needs no library",
                      troubles));
  }
#define PENSTOCK_NATIVE_FIND(member, symbol, result, arguments) find(handle, #symbol, member);
  PENSTOCK_NATIVE_NEEDED(PENSTOCK_NATIVE_FIND)
  PENSTOCK_NATIVE_OPTIONAL(PENSTOCK_NATIVE_FIND)
#undef PENSTOCK_NATIVE_FIND
#define PENSTOCK_NATIVE_CHECK(member, symbol, result, arguments) \
  if (member == nullptr) missing(#symbol, "every connection");
  if (client_info != nullptr) version_ = printable(version_of_info(client_info()), 40);
  PENSTOCK_NATIVE_NEEDED(PENSTOCK_NATIVE_CHECK)
#undef PENSTOCK_NATIVE_CHECK
}

void NativeLibrary::initialise(const std::string& config_directory) {
  // Before anything else, and refused by libraries that have one way only.
  options(native::option_driver, "native");
  if (!config_directory.empty() && options(native::option_config_directory, config_directory.c_str()) != 0)
    fail(path_, fmt::format("'{}' does not take the configuration directory '{}': is there a readable taos.cfg in it?",
                            path_, printable(config_directory)));
  config_directory_ = config_directory;
  const int code = init();
  if (code != 0)
    fail(path_, fmt::format("TDengine's client library '{}' cannot start: {} (0x{:04X}); since 3.3.6 libtaos.so loads "
                            "libtaosnative.so, which must be where the loader finds it",
                            path_, printable(error_text(nullptr), 200), static_cast<unsigned>(code) & 0xFFFFU));
  if (version_.empty()) version_ = printable(version_of_info(client_info()), 40);
}

const NativeLibrary& NativeLibrary::get(const Options& options) {
  static std::mutex mutex;
  // Never destroyed: the library's own threads outlive main().
  static auto& loaded = *new std::map<std::string, std::unique_ptr<NativeLibrary>>();
  const std::scoped_lock lock(mutex);
  auto& library = loaded[options.library];
  if (!library) {
    std::unique_ptr<NativeLibrary> fresh(new NativeLibrary);
    fresh->load(options.library);
    fresh->initialise(options.config_directory);
    library = std::move(fresh);
  }
  if (!options.config_directory.empty() && options.config_directory != library->config_directory_)
    fail(library->path_,
         fmt::format(
             "the configuration directory '{}' comes too late: TDengine's client library has one for the whole "
             "process and was started with {}",
             printable(options.config_directory),
             library->config_directory_.empty() ? "its own" : "'" + printable(library->config_directory_) + "'"));
  return *library;
}

}  // namespace penstock::client::detail
