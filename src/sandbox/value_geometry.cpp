#include "format/wkt.h"
#include "sandbox/value.h"

namespace penstock::sandbox {

std::optional<std::string> geometry_image(std::string_view text) {
  std::string wkb;
  if (format::wkt_to_wkb(text, wkb) != nullptr) return std::nullopt;
  return wkb;
}

std::string geometry_text(std::string_view wkb) {
  std::string text;
  format::wkb_to_wkt(wkb, text, format::WktNumbers::six_digits);
  return text;
}

}  // namespace penstock::sandbox
