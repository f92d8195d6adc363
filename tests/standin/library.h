#pragma once

#include <dlfcn.h>

#include <stdexcept>
#include <string>

#include "standin/controls.h"
#include "standin/taos_abi.h"

namespace penstock::test {

/// The stand-in library, loaded as a client loads libtaos.so, and never unloaded.
class Library {
 public:
  /// Throws std::runtime_error with the loader's words.
  explicit Library(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) throw std::runtime_error(::dlerror());
  }
  /// nullptr: it has no function of that name.
  [[nodiscard]] void* find(const char* name) const noexcept { return ::dlsym(handle_, name); }
  /// The function of that name and of the type of `declared`. Throws std::runtime_error.
  template <class Function>
  Function get(const char* name, Function /*declared*/) const {
    void* const found = find(name);
    if (found == nullptr) throw std::runtime_error(std::string("no function ") + name);
    return reinterpret_cast<Function>(found);
  }

 private:
  void* handle_;
};

}  // namespace penstock::test

/// Calls a function of the library by its own name: STANDIN(library, taos_query)(taos, "select 1").
#define STANDIN(library, function) (library).get(#function, static_cast<decltype(&::function)>(nullptr))
