#include "fuzz/entry.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace penstock::fuzz {
namespace {

constexpr std::string_view kLineTokens =
    "m,t=a f=1 1626006833639000000\n\n\\,\n\\ \n\\=\n\\\\\n\"\nL\"x\"\nb\"\\x41\"\ng\"POINT(1 "
    "2)\"\ni64\nu8\nf32\ntrue\n,\n=\n "
    "\n#\nnan\n1e5i64\n\xef\xbb\xbf\n_ts\n,t=x\n,f=t";
constexpr std::string_view kTelnetTokens =
    "sys.cpu 1479496100 1.3 host=a\nput \n1479496100000\n0\n =\n==\n\"a\"\nL\"x\"\n1i8\nk=v\n  \n\r\n_value=1";
constexpr std::string_view kJsonTokens =
    "{\"metric\":\"m\",\"timestamp\":1479496100,\"value\":1,\"tags\":{\"t\":\"a\"}}"
    "\n\"metric\"\n\"timestamp\"\n\"value\"\n\"tags\"\n"
    "{\"value\":1,\"type\":\"i8\"}\n[\n]\n,\n{\n}\n\"\n\\u00e9\n\\\"\nnull\ntrue\n1e999\n-0\n:";
constexpr std::string_view kCsvTokens =
    "time,host,usage,text\n2024-01-01T00:00:00Z,a,1.5,x\n1700000000000,b,2,\"y, "
    "\"\"z\"\"\"\n,\n;\n\"\n\"\"\n\r\nNULL\n\\N\n\n\xef\xbb\xbf\nts\ntbname\n12.5\n"
    "2024-05-06 07:08:09.123\ntrue";
constexpr std::string_view kTomlTokens =
    "[csv]\ntable = \"m\"\ntimestamp = \"ts\"\ntags = [\"a\"]\ncolumns = []\n[types]\na = \"INT\"\n[rename]\ndelimiter "
    "= ';'\nheader = "
    "true\n\"\"\"\n'''\n#\n{}\n=\nnulls = [\"NA\"]\ntime_format = \"%Y\"";
constexpr std::string_view kNumberTokens =
    "1\n-1\n0.5\n1e308\n1e-320\n0x1F\n0x1.8p3\nnan\ninf\ni8\ni64\nu64\nf32\n9223372036854775807\n.5\n5.\n+";
constexpr std::string_view kTimeTokens =
    "2024-02-29T23:59:60.123456789Z\n+05:30\n%Y-%m-%d\n%H:%M:%S\n%f\n%b\n%p\n%z\n%%\n1700000000\n12:00 "
    "AM\nUTC\n/\n.\n:\n1969-12-31";
constexpr std::string_view kWktTokens =
    "POINT\nLINESTRING\nPOLYGON\nMULTIPOINT\nMULTILINESTRING\nMULTIPOLYGON\nGEOMETRYCOLLECTION\nEMPTY\n(\n)\n,\n1.5\n-"
    "1e300\nZ\nZM\nnan";
constexpr std::string_view kNone;

constexpr std::string_view kInfluxCsvTokens =
    "#datatype,string,long,dateTime:RFC3339,double,string,string\n#group,false,false,false,false,true,true\n#default,_"
    "result,,,,,\n"
    ",result,table,_time,_value,_field,_measurement\n,,0,2024-01-01T00:00:00Z,1.5,f,m\n,"
    "\n\"\n\"\"\nunsignedLong\nbase64Binary\nboolean\ndura"
    "tion\n#\n#datatype\n_start\nerror\n";
constexpr std::string_view kNdjsonTokens =
    "{\"time\":1700000000000,\"host\":\"a\",\"v\":1.5}\n{\"a\":{\"b\":[1,2]}}\n{\"time\":\"2024-01-01T00:00:00Z\"}"
    "\n\"v\":null\n,\n:\n{\n}\n[\n]\n"
    "\"\n\\u00e9\ntrue\n1e400\n[{";

constexpr std::array kEntries{
    Entry{"coerce", coerce, 128, kNumberTokens},
    Entry{"csv", csv, 2048, kCsvTokens},
    Entry{"cutter", cutter, 1024, kCsvTokens},
    Entry{"influx_csv", influx_csv, 2048, kInfluxCsvTokens},
    Entry{"json", json, 2048, kJsonTokens},
    Entry{"line", line, 2048, kLineTokens},
    Entry{"mapping", mapping, 1024, kTomlTokens},
    Entry{"ndjson", ndjson, 2048, kNdjsonTokens},
    Entry{"numbers", numbers, 128, kNumberTokens},
    Entry{"reader", reader, 2048, kCsvTokens},
    Entry{"telnet", telnet, 2048, kTelnetTokens},
    Entry{"times", times, 256, kTimeTokens},
    Entry{"tmq", tmq, 1024, kNone},
    Entry{"websocket", websocket, 1024, kNone},
    Entry{"wire", wire, 1024, kNone},
    Entry{"wkt", wkt, 512, kWktTokens},
    Entry{"zones", zones, 1024, kNone},
};

}  // namespace

std::span<const Entry> entries() { return kEntries; }

const Entry* find_entry(std::string_view name) {
  const auto* const found =
      std::find_if(kEntries.begin(), kEntries.end(), [&](const Entry& e) { return e.name == name; });
  return found == kEntries.end() ? nullptr : found;
}

void broken(const char* file, int line, const char* promise, std::string_view details) {
  std::fprintf(stderr, "%s:%d: broken promise: %s\n%.*s\n", file, line, promise, static_cast<int>(details.size()),
               details.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace penstock::fuzz
