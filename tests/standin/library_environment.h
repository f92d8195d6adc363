#pragma once

#include <string>

namespace penstock::test {

/// "NAME=value …" for a program that loads the library. A sanitizer's library must come first in a program that was
/// built without it, and finds what throws exceptions only when that is there from the start.
std::string library_environment();

}  // namespace penstock::test
