#pragma once

#include <memory>

#include "format/influx_csv_tables.h"
#include "io/reader.h"

namespace penstock::cli {

/// The reader, cutting outside of quotes, with every chunk shown to the outline before it is handed out.
std::unique_ptr<io::Reader> outlined(std::unique_ptr<io::Reader> reader,
                                     std::shared_ptr<format::InfluxCsvOutline> outline);

}  // namespace penstock::cli
