#pragma once

#include <string>

#include "cli/sources.h"
#include "schema/catalog.h"

namespace penstock::cli {

/// `check --line FILE:N`: what becomes of the record that the line belongs to.
struct LineExplanation {
  std::string text;  ///< several lines for a terminal
  std::string json;  ///< the same as an object
  bool rejected = false;
};

/// Reads the source up to that line and parses the record with the options, as a load into `server` would (nullptr: an
/// empty database). Throws Error(Errc::config) when there is no such file or line.
LineExplanation explain_line(const std::string& place, const SourceOptions& options, schema::Catalog* server);

}  // namespace penstock::cli
