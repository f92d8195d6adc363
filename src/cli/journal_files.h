#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::cli {

/// Where journals lie when --journal does not say: $XDG_STATE_HOME/penstock, else ~/.local/state/penstock. Throws
/// Error(Errc::config) when neither variable helps.
std::filesystem::path state_directory();

/// Makes the folder (0700) with the ones above it, or looks at the one that is there. Throws Error(Errc::config) when
/// it is a link or a folder of another user's, or others may write in it; Error(Errc::io) when it cannot be made.
void prepare_state_directory(const std::filesystem::path& folder);

/// The journal of a load of `sources` (as they were typed) into `target`: "cpu-0123456789abcdef.journal". `kind` keeps
/// commands apart.
std::filesystem::path default_journal(std::string_view kind, std::span<const std::string> sources,
                                      const std::string& target);

/// The journals in a folder, those changed last first. Empty when there is no such folder.
std::vector<std::filesystem::path> journals_in(const std::filesystem::path& folder);

}  // namespace penstock::cli
